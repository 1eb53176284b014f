#pragma once

#include "ops/gpu.h"

// Shaders that are compiled once for each type of element (shaders/common/typed.glsl), and arithmetic on them.
namespace fastort::gpu {

// The name of a shader's variant, which lives as long as the process.
std::string_view shader_name(std::string_view shader, std::string_view variant);

// The variant of a shader for elements that are moved and not looked into, by their size; or why there is none.
Refusal choose_by_bytes(std::string_view shader, size_t bytes, const GpuTraits& traits, std::string_view& name);
// The variant for numbers of a type: "i8" to "u64", "f32" and "f64". bool counts as uint8.
Refusal choose_by_type(std::string_view shader, DataType type, const GpuTraits& traits, std::string_view& name);
// The same for scattering: without arithmetic wide elements are moved as words.
Refusal choose_by_width(std::string_view shader, size_t bytes, const GpuTraits& traits, std::string_view& name);

// In the order of shaders/arith.comp.
enum class Arith : uint32_t {
  Add,
  Sub,
  Mul,
  Div,
  Max,
  Min,
  ModFloor,
  ModTrunc,
  And,
  Or,
  Xor,
  ShiftLeft,
  ShiftRight,
  Pow,
  PRelu,
  Abs,
  Neg,
  Sign,
  Invert,
  Relu,
  Ceil,
  Floor,
  Round,
  Sqrt,
  Reciprocal,
  Copy
};
// An operator of integers or of double: its inputs one after the other, or its one input.
Refusal add_arith(const OpContext& context, const GpuTraits& traits, GpuWork& work, Arith function);

// Clip, whose bounds may be left out.
Refusal add_integer_clip(const OpContext& context, const GpuTraits& traits, GpuWork& work);

template <Arith function>
Refusal arith_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return add_arith(context, traits, work, function);
}
inline constexpr TypeMask kArith = kIntTypes | TypeMask{DataType::Double};
template <Arith function>
inline constexpr GpuRecipe kIntegers{kIntTypes, arith_work<function>};

}  // namespace fastort::gpu
