#pragma once

#include <span>

#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/unary.h"
#include "ops/gpu/typed.h"

// Elementwise operators on the GPU: one shader runs any program of functions over float32.
namespace fastort::gpu {

// One function of a program. Operands are registers 0 to 7, or inputs from kFirstInput on.
struct Step {
  static constexpr int kFirstInput = 8;
  uint32_t function = 0;
  int to = 0, a = 0, b = 0;
  kernels::UnaryParams params;

  static Step unary(kernels::UnaryOp op, int a, kernels::UnaryParams params = {}) {
    return {static_cast<uint32_t>(op), 0, a, 0, params};
  }
  static Step binary(kernels::BinaryOp op, int a, int b) { return {256 + static_cast<uint32_t>(op), 0, a, b, {}}; }
};
constexpr int input(int i) { return Step::kFirstInput + i; }

// A program over the node's inputs, which broadcast to its output; `shapes` stand in for the inputs' own where there
// are any.
Refusal elementwise(const OpContext& context, const GpuTraits& traits, GpuWork& work, std::span<const Step> steps,
                    std::span<const Shape> shapes = {});

// Whether the GPU's table has the function (see kernels/elementwise/functions.def).
bool has_function(kernels::BinaryOp op);

// The function of integers and of double; Copy where there is none.
constexpr Arith arith_of(kernels::UnaryOp op) {
  using kernels::UnaryOp;
  switch (op) {
    case UnaryOp::Abs:
      return Arith::Abs;
    case UnaryOp::Neg:
      return Arith::Neg;
    case UnaryOp::Sign:
      return Arith::Sign;
    case UnaryOp::Relu:
      return Arith::Relu;
    case UnaryOp::Ceil:
      return Arith::Ceil;
    case UnaryOp::Floor:
      return Arith::Floor;
    case UnaryOp::Round:
      return Arith::Round;
    case UnaryOp::Sqrt:
      return Arith::Sqrt;
    case UnaryOp::Reciprocal:
      return Arith::Reciprocal;
    default:
      return Arith::Copy;
  }
}
constexpr Arith arith_of(kernels::BinaryOp op) {
  using kernels::BinaryOp;
  switch (op) {
    case BinaryOp::Add:
      return Arith::Add;
    case BinaryOp::Sub:
      return Arith::Sub;
    case BinaryOp::Mul:
      return Arith::Mul;
    case BinaryOp::Div:
      return Arith::Div;
    case BinaryOp::Max:
      return Arith::Max;
    case BinaryOp::Min:
      return Arith::Min;
    case BinaryOp::PRelu:
      return Arith::PRelu;
    case BinaryOp::ModFloor:
      return Arith::ModFloor;
    case BinaryOp::ModTrunc:
      return Arith::ModTrunc;
    case BinaryOp::Pow:
      return Arith::Pow;
    default:
      return Arith::Copy;
  }
}

template <kernels::UnaryOp op>
Refusal unary_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if constexpr (arith_of(op) != Arith::Copy)
    if (context.type(0) != DataType::Float) return add_arith(context, traits, work, arith_of(op));
  const Step steps[] = {Step::unary(op, input(0))};
  return elementwise(context, traits, work, steps);
}
// A function whose parameters are attributes.
template <kernels::UnaryOp op, kernels::UnaryParams (*read)(const OpContext&)>
Refusal unary_work_with(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Step steps[] = {Step::unary(op, input(0), read(context))};
  return elementwise(context, traits, work, steps);
}
// Of two or more inputs, from the first on.
template <kernels::BinaryOp op>
Refusal binary_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (context.type(0) != DataType::Float) return add_arith(context, traits, work, arith_of(op));
  std::vector<Step> steps;
  for (int i = 1; i < context.num_inputs(); ++i) steps.push_back(Step::binary(op, i == 1 ? input(0) : 0, input(i)));
  if (steps.empty()) steps.push_back(Step::unary(kernels::UnaryOp::Affine, input(0), {1, 0}));
  return elementwise(context, traits, work, steps);
}

template <kernels::UnaryOp op>
inline constexpr GpuRecipe kUnary{arith_of(op) == Arith::Copy ? kFloat32 : kFloat32 | kArith, unary_work<op>};
template <kernels::UnaryOp op, kernels::UnaryParams (*read)(const OpContext&)>
inline constexpr GpuRecipe kUnaryWith{kFloat32, unary_work_with<op, read>};
template <kernels::BinaryOp op>
inline constexpr GpuRecipe kBinary{kFloat32 | kArith, binary_work<op>};

// A function of the sum of input 0 and, where it is there, input 1.
template <kernels::UnaryOp op>
Refusal bias_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (!context.has_input(1)) return unary_work<op>(context, traits, work);
  const Step steps[] = {Step::binary(kernels::BinaryOp::Add, input(0), input(1)), Step::unary(op, 0)};
  return elementwise(context, traits, work, steps);
}
template <kernels::UnaryOp op>
inline constexpr GpuRecipe kBiasThen{kFloat32, bias_work<op>};

extern const GpuRecipe kChain;  // fastort.ElementwiseChain
extern const GpuRecipe kClip;
extern const GpuRecipe kGelu;
extern const GpuRecipe kMean;
extern const GpuRecipe kPow;  // of two types, too

}  // namespace fastort::gpu
