#include "ops/gpu/convert.h"
#include "ops/gpu/elementwise.h"

namespace fastort::gpu {
namespace {

// Describes the numbers of an input in another type, in scratch memory.
GpuOperand converted(const OpContext& context, int input, DataType to, const GpuTraits& traits, GpuWork& work,
                     Refusal& refusal) {
  const int64_t count = context.shape(input).count();
  const GpuOperand result = work.scratch(static_cast<size_t>(count) * element_size(to));
  const Converted all{context.type(input), to, count, GpuWork::written(result), GpuWork::input(input), false};
  refusal = add_convert(work, all, traits);
  return result;
}

// The dispatches from `first` on read and write these in place of the node's own operands.
void replace(GpuWork& work, size_t first, GpuOperand base, GpuOperand exponent, GpuOperand result) {
  for (size_t i = first; i < work.dispatches.size(); ++i) {
    for (GpuOperand& operand : work.dispatches[i].operands) {
      const bool written = operand.written;
      if (operand.kind == GpuOperand::Kind::Input) operand = operand.index == 0 ? base : exponent;
      if (operand.kind == GpuOperand::Kind::Output) operand = result;
      operand.written = written;
    }
  }
}

// A base and an exponent of different types: the exponent as the base's type, whole numbers all as int64, whose result
// is cut off to the base's bits as the CPU's is.
Refusal mixed(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const DataType base_type = context.type(0);
  const bool whole = is_integer(base_type);
  if (whole && !is_integer(context.type(1))) return "whole numbers raised to others";
  if (!is_integer(context.type(1)) && context.type(1) == DataType::Double)
    return "exponents of double, of which float32 is too little";
  const DataType type = whole ? DataType::Int64 : DataType::Float;
  Refusal refusal;
  const GpuOperand exponent =
      context.type(1) == type ? GpuWork::input(1) : converted(context, 1, type, traits, work, refusal);
  if (refusal) return refusal;
  const GpuOperand base = base_type == type ? GpuWork::input(0) : converted(context, 0, type, traits, work, refusal);
  if (refusal) return refusal;
  GpuOperand result = GpuWork::output(0);
  const int64_t count = context.out(0).shape.count();
  if (base_type != type) result = GpuWork::written(work.scratch(static_cast<size_t>(count) * element_size(type)));
  TensorDesc inputs[] = {context.in(0), context.in(1)}, outputs[] = {context.out(0)};
  for (TensorDesc* desc : {&inputs[0], &inputs[1], &outputs[0]}) {
    desc->type = type;
    desc->constant = nullptr;
  }
  const OpContext same{context.node, inputs, outputs, context.options, context.packs, context.compile_body};
  const size_t first = work.dispatches.size();
  refusal = binary_work<kernels::BinaryOp::Pow>(same, traits, work);
  if (refusal) return refusal;
  replace(work, first, base, exponent, result);
  if (base_type == type) return std::nullopt;
  result.written = false;
  return add_convert(work, {type, base_type, count, GpuWork::output(0), result, false}, traits);
}

Refusal pow_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (!context.has_input(1)) return "an input is left out";
  if (context.type(0) == context.type(1)) return binary_work<kernels::BinaryOp::Pow>(context, traits, work);
  return mixed(context, traits, work);
}

}  // namespace

constinit const GpuRecipe kPow{kFloat32 | kIntTypes, pow_work};

}  // namespace fastort::gpu
