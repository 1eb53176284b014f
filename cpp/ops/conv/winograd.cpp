#include "kernels/conv/winograd.h"

#include "ops/conv/conv.h"

namespace fastort::conv {
namespace {

using kernels::WinogradConv;

// Fewer channels do not pay for the transforms.
constexpr int64_t kMinChannels = 16;

WinogradConv make(const OpContext& context, const Problem& problem) {
  return {problem.shape, problem.epilogue, channel_block(context.in(kX).layout), context.options.threads};
}

}  // namespace

Refusal accepts_winograd(const OpContext& context) {
  if (!context.options.allow_winograd) return "switched off by the session's options";
  if (context.type(kX) != DataType::Float) return "only float32";
  if (context.in(kX).layout != context.out(0).layout) return "X and Y in different layouts";
  if (!context.constant(kW)) return "weights that are not constant";
  const kernels::ConvShape shape = read_problem(context).shape;
  if (Refusal refusal = refuse_odd_sizes(shape)) return refusal;
  if (Refusal refusal = refuse_layouts(context)) return refusal;
  if (shape.rank != 2 || !shape.all(shape.kernel, 3)) return "only 3x3 kernels";
  if (!shape.all(shape.stride, 1) || !shape.all(shape.dilation, 1)) return "only stride 1 and dilation 1";
  if (shape.groups != 1) return "only one group";
  if (shape.in_channels < kMinChannels || shape.out_channels < kMinChannels) return "too few channels";
  return {};
}

double cost_winograd(const OpContext& context) {
  // GFLOP/s of the products; nanoseconds to transform 8 channels of a tile, in and out; bytes a nanosecond of weights,
  // of which there are four times as many as in the direct method.
  constexpr double kRate = 75, kInput = 70, kOutput = 60, kWeightsBandwidth = 12;
  const Problem problem = read_problem(context);
  const WinogradConv conv = make(context, problem);
  const WinogradConv::Sizes sizes = conv.sizes();
  const double tiles = static_cast<double>(conv.tiles()), blocks = static_cast<double>(sizes.in_padded) / 8;
  const double panels = static_cast<double>(sizes.panels);
  const double products = tiles * 36 * 2 * static_cast<double>(sizes.in_padded) * panels * 16 / kRate;
  const double transforms = tiles * (blocks * kInput + panels * 2 * kOutput);
  const double weights = static_cast<double>(conv.weights_bytes()) / kWeightsBandwidth;
  const int threads = context.options.threads;
  return std::max(products / threads, weights) + transforms / threads + 3000;
}

std::unique_ptr<Kernel> prepare_winograd(const OpContext& context) {
  const Problem problem = read_problem(context);
  const WinogradConv conv = make(context, problem);
  const Tensor& weights = *context.constant(kW);
  const std::string format = "winograd4x4:" + std::to_string(conv.sizes().in_padded);
  std::shared_ptr<Buffer> packed = context.packs.get(weights, format, conv.weights_bytes(), [&](std::byte* dst) {
    const Parallel parallel(ThreadPool::instance(), context.options.threads);
    conv.pack_weights(weights.data<float>(), reinterpret_cast<float*>(dst), parallel);
  });
  return make_kernel(
      [conv, packed, epilogue = problem.epilogue](const KernelArgs& args) {
        conv.run(args.in<float>(kX), reinterpret_cast<const float*>(packed->data()),
                 epilogue.bias ? args.in<float>(kB) : nullptr, epilogue.residual ? args.in<float>(kZ) : nullptr,
                 args.out<float>(0), reinterpret_cast<float*>(args.workspace), args.parallel);
      },
      conv.workspace_bytes(), 1u << kW);
}

}  // namespace fastort::conv
