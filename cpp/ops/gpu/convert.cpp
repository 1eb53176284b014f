#include "ops/gpu/convert.h"

#include <bit>

#include "kernels/elementwise/convert.h"

namespace fastort::gpu {
namespace {

// The types that the shader reads and writes itself.
constexpr TypeMask kNative =
    kIntTypes | TypeMask{DataType::Float, DataType::Double, DataType::Bool, DataType::Float16, DataType::BFloat16};
constexpr TypeMask kSmallIntegers{DataType::Int4, DataType::UInt4, DataType::Int2, DataType::UInt2};

// What each code of a type of at most a byte stands for.
std::vector<uint32_t> codes(const kernels::Convert& convert) {
  std::array<uint8_t, 256> bytes;
  std::array<float, 256> values;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
  convert(bytes.data(), values.data(), 256);
  std::vector<uint32_t> words;
  for (const float value : values) words.push_back(std::bit_cast<uint32_t>(value));
  return words;
}

kernels::SmallFloat kind_of(DataType type) {
  if (type == DataType::Float16) return {5, 10, 15, 0, true, 0, true};
  if (type == DataType::BFloat16) return {8, 7, 127, 0, true, 0, true};
  const kernels::SmallFloat* kind = kernels::small_float(type);
  return kind ? *kind : kernels::SmallFloat{};
}

}  // namespace

Refusal add_convert(GpuWork& work, const Converted& converted, const GpuTraits& traits) {
  const DataType from = converted.from, to = converted.to;
  if (!traits.storage8 || !traits.storage16 || !traits.int64 || !traits.float64)
    return "a device whose shaders lack single bytes, 64-bit integers or double";
  const Refusal refusal = "no shader from " + std::string(name(from)) + " to " + std::string(name(to));
  if (!kNative.has(to) && !kSmallIntegers.has(to) && !kernels::small_float(to)) return refusal;
  GpuOperand table;
  if (!kNative.has(from)) {
    const auto decode = kernels::Convert::find(from, DataType::Float);
    if (!decode || element_size(from) != 1) return refusal;
    table = work.table(codes(*decode));
  }
  const kernels::SmallFloat kind = kind_of(to);
  uint32_t most = kind.max, nan = kind.nan, flags = (kind.infinity ? 1u : 0u) | (kind.signed_zero ? 2u : 0u);
  if (to == DataType::Float16) most = 0x7bff, nan = 0x7e00;
  if (to == DataType::BFloat16) most = 0x7f7f, nan = 0x7fc0;
  if (converted.saturate && element_size(to) == 1) flags |= 4;
  GpuDispatch& dispatch = work.dispatch("cast_any");
  dispatch.constants = {static_cast<uint32_t>(from), static_cast<uint32_t>(to)};
  dispatch.operands = {converted.result, converted.source, table};
  dispatch.push.u32(converted.count).i32(kind.exponent_bits).i32(kind.mantissa_bits).i32(kind.bias);
  dispatch.push.u32(most).u32(nan).u32(flags);
  dispatch.groups = groups_for(converted.count, 64, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
