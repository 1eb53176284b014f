#include "kernels/conv/depthwise.h"
#include "kernels/gemm/sgemm.h"
#include "ops/conv/conv.h"

// Ways to convolve row-major maps as they are, where blocks of channels do not pay for the reorders.
namespace fastort::conv {
namespace {

using kernels::DepthwiseConv;

Refusal refuse_common(const OpContext& context, const kernels::ConvShape& shape) {
  if (context.type(kX) != DataType::Float) return "only float32";
  return refuse_odd_sizes(shape);
}

}  // namespace

// ---- pointwise: a matrix product -----------------------------------------------------------------------------------

Refusal accepts_pointwise(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  if (Refusal refusal = refuse_common(context, shape)) return refusal;
  if (!shape.pointwise()) return "only 1x1 kernels with stride 1";
  if (shape.in_group() < 4 || shape.out_group() < 4) return "too few channels in a group for a matrix product";
  return {};
}

double cost_pointwise(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  return estimate(context, shape, 2 * shape.macs(), 70);
}

std::unique_ptr<Kernel> prepare_pointwise(const OpContext& context) {
  const Problem problem = read_problem(context);
  const kernels::ConvShape& shape = problem.shape;
  kernels::SgemmSizes sizes;
  sizes.m = shape.out_group(), sizes.n = shape.in_pixels(), sizes.k = shape.in_group();
  sizes.a_stride = sizes.k, sizes.b_stride = sizes.n, sizes.c_stride = sizes.n;
  const kernels::Sgemm gemm(sizes);
  return make_kernel(
      [problem, gemm](const KernelArgs& args) {
        const kernels::ConvShape& s = problem.shape;
        const int64_t pixels = s.in_pixels(), in = s.in_group(), out = s.out_group();
        for (int64_t i = 0; i < s.batch * s.groups; ++i) {
          const int64_t m = i % s.groups * out;
          kernels::Epilogue epilogue;
          epilogue.activation = problem.epilogue.activation;
          epilogue.bias = problem.epilogue.bias ? args.in<float>(kB) + m : nullptr;
          epilogue.bias_per_row = true;
          epilogue.residual_stride = pixels;
          kernels::SgemmItem item;
          item.a = args.in<float>(kW) + m * in;
          item.b = args.in<float>(kX) + i * in * pixels;
          item.c = args.out<float>(0) + i * out * pixels;
          item.residual = problem.epilogue.residual ? args.in<float>(kZ) + i * out * pixels : nullptr;
          gemm.run(item, epilogue, args.workspace, args.parallel);
        }
      },
      gemm.workspace_bytes());
}

// ---- depthwise -----------------------------------------------------------------------------------------------------

Refusal accepts_depthwise(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  if (Refusal refusal = refuse_common(context, shape)) return refusal;
  if (!shape.depthwise()) return "only as many groups as channels";
  if (shape.rank > 2) return "only one or two spatial dimensions";
  // The padded planes stay in proportion to the maps only for usual strides and dilations.
  constexpr int64_t kMaxStride = 4;
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i)
    if (shape.stride[i] > kMaxStride || shape.dilation[i] * shape.kernel[i] > 64 + 2 * shape.in[i])
      return "only strides up to 4 and kernels in proportion to the map";
  return {};
}

double cost_depthwise(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  const double copied = static_cast<double>(physical_count(context.shape(kX), Layout::Plain));
  // Columns are sorted by their remainders first.
  const double rate = shape.stride[static_cast<size_t>(shape.rank) - 1] > 1 ? 10 : 16;
  return estimate(context, shape, 2 * shape.macs() + 8 * copied, rate);
}

std::unique_ptr<Kernel> prepare_depthwise(const OpContext& context) {
  const Problem problem = read_problem(context);
  const DepthwiseConv conv(problem.shape, problem.epilogue, context.options.threads);
  return make_kernel(
      [conv, epilogue = problem.epilogue](const KernelArgs& args) {
        conv.run(args.in<float>(kX), args.in<float>(kW), epilogue.bias ? args.in<float>(kB) : nullptr,
                 epilogue.residual ? args.in<float>(kZ) : nullptr, args.out<float>(0),
                 reinterpret_cast<float*>(args.workspace), args.parallel);
      },
      conv.workspace_bytes());
}

}  // namespace fastort::conv
