#include "ops/gpu.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/error.h"

namespace fastort {

GpuPush& GpuPush::u32(int64_t value) {
  if (value < 0 || value > std::numeric_limits<uint32_t>::max())
    fail(ErrorCode::Fail, "the size " + std::to_string(value) + " is beyond 32 bits, which is the most on a GPU");
  if (words_.size() == kMaxWords) fail(ErrorCode::Fail, "a shader's push block has no room for more fields");
  words_.push_back(static_cast<uint32_t>(value));
  return *this;
}

GpuPush& GpuPush::i32(int64_t value) {
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max())
    fail(ErrorCode::Fail, "the number " + std::to_string(value) + " is beyond 32 bits, which is the most on a GPU");
  return u32(static_cast<uint32_t>(static_cast<int32_t>(value)));
}

GpuPush& GpuPush::f32(float value) { return u32(std::bit_cast<uint32_t>(value)); }

GpuOperand GpuWork::scratch(size_t bytes) {
  scratch_bytes.push_back(bytes);
  return {GpuOperand::Kind::Scratch, static_cast<int>(scratch_bytes.size() - 1), false};
}

GpuOperand GpuWork::constant(GpuConstant constant) {
  constants.push_back(std::move(constant));
  return {GpuOperand::Kind::Constant, static_cast<int>(constants.size() - 1), false};
}

GpuOperand GpuWork::table(std::vector<uint32_t> words) {
  GpuConstant constant;
  constant.bytes = words.size() * sizeof(uint32_t);
  constant.fill = [words = std::move(words)](std::byte* into) {
    std::copy_n(reinterpret_cast<const std::byte*>(words.data()), words.size() * sizeof(uint32_t), into);
  };
  constant.words = true;
  return this->constant(std::move(constant));
}

bool GpuWork::constants_are_words() const {
  return std::all_of(constants.begin(), constants.end(), [](const GpuConstant& constant) { return constant.words; });
}

GpuDispatch& GpuWork::dispatch(std::string_view shader) {
  dispatches.emplace_back();
  dispatches.back().shader = shader;
  return dispatches.back();
}

std::array<uint32_t, 3> groups_for(int64_t count, uint32_t size, const GpuTraits& traits) {
  const int64_t groups = (count + size - 1) / size;
  const int64_t most = traits.max_groups[0];
  if (groups <= most) return {static_cast<uint32_t>(groups), 1, 1};
  const int64_t rows = (groups + most - 1) / most;
  if (rows > traits.max_groups[1])
    fail(ErrorCode::Fail, std::to_string(count) + " elements are more than the GPU's largest grid holds");
  return {static_cast<uint32_t>((groups + rows - 1) / rows), static_cast<uint32_t>(rows), 1};
}

}  // namespace fastort
