#include "kernels/conv/vector.h"

#include "ops/conv/conv.h"

namespace fastort::conv {

Refusal accepts_vector(const OpContext& context) {
  if (context.type(kX) != DataType::Float) return "only float32";
  const Problem problem = read_problem(context);
  const kernels::ConvShape& shape = problem.shape;
  if (Refusal refusal = refuse_odd_sizes(shape)) return refusal;
  if (Refusal refusal = refuse_layouts(context)) return refusal;
  if (shape.in_pixels() != 1 || shape.out_pixels() != 1 || shape.taps() != 1 || shape.groups != 1 ||
      !shape.all(shape.pad_begin, 0))
    return "only 1x1 kernels on maps of one pixel, with one group";
  if (!same_memory(context.shape(kX), context.in(kX).layout, Layout::Plain) ||
      !same_memory(context.out(0).shape, context.out(0).layout, Layout::Plain))
    return "channels that do not fill their last block";
  return {};
}

double cost_vector(const OpContext& context) {
  constexpr double kWeightsBandwidth = 50;
  const kernels::ConvShape shape = read_problem(context).shape;
  return 300 + static_cast<double>(shape.batch) * 4 * static_cast<double>(shape.in_channels * shape.out_channels) /
                   kWeightsBandwidth;
}

std::unique_ptr<Kernel> prepare_vector(const OpContext& context) {
  const Problem problem = read_problem(context);
  return make_kernel([problem](const KernelArgs& args) {
    const auto& epilogue = problem.epilogue;
    kernels::conv_vector(problem.shape, epilogue.activation, args.in<float>(kX), args.in<float>(kW),
                         epilogue.bias ? args.in<float>(kB) : nullptr, epilogue.residual ? args.in<float>(kZ) : nullptr,
                         args.out<float>(0), args.parallel);
  });
}

}  // namespace fastort::conv
