#include "ops/gpu/fill.h"

#include <algorithm>
#include <cstring>

#include "ops/gpu/typed.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

}  // namespace

Refusal add_fill(GpuWork& work, GpuOperand result, int64_t count, std::span<const std::byte> element,
                 const GpuTraits& traits, int64_t columns, int64_t offset) {
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("fill", element.size(), traits, shader)) return refusal;
  if (count == 0) return std::nullopt;
  std::vector<uint32_t> words(4, 0);
  std::memcpy(words.data(), element.data(), element.size());
  const GpuOperand value = work.table(std::move(words));
  // Any diagonal outside of the matrix is as good as another.
  offset = std::clamp<int64_t>(offset, -count, count);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {columns ? 1u : 0u};
  dispatch.operands = {GpuWork::written(result), value};
  dispatch.push.u32(count).u32(std::max<int64_t>(columns, 1)).i32(offset);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
