#pragma once

#include "ops/gpu.h"

// Operators that compare, choose and convert on the GPU.
namespace fastort::gpu {

// The table and the two constants of shaders/common/strided.glsl for operands that broadcast to a result.
struct Strided {
  std::vector<uint32_t> table;
  uint32_t rank = 0, modes = 0;
};
Strided strided_operands(const Shape& result, std::span<const Shape> shapes);

// In the order of shaders/compare.comp.
enum class Compare : uint8_t { Equal, Less, LessOrEqual, Greater, GreaterOrEqual, And, Or, Xor, Not };
Refusal add_compare(const OpContext& context, const GpuTraits& traits, GpuWork& work, Compare op);

template <Compare op>
Refusal compare_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return add_compare(context, traits, work, op);
}
inline constexpr TypeMask kCompared = kIntTypes | TypeMask{DataType::Float, DataType::Double, DataType::Bool};
template <Compare op>
inline constexpr GpuRecipe kCompare{kCompared, compare_work<op>};

extern const GpuRecipe kWhere;
extern const GpuRecipe kCast;    // Cast and CastLike
extern const GpuRecipe kGather;  // along one axis

}  // namespace fastort::gpu
