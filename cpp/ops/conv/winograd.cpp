#include "kernels/conv/winograd.h"

#include "base/cpu_info.h"
#include "ops/conv/conv.h"

namespace fastort::conv {
namespace {

using kernels::WinogradConv;

// Fewer channels do not pay for the transforms.
constexpr int64_t kMinChannels = 16;

WinogradConv make(const OpContext& context, const Problem& problem, int tile) {
  return {problem.shape, problem.epilogue, tile, channel_block(context.in(kX).layout), context.options.threads};
}

// Estimated nanoseconds; `input` and `output` are those of the transforms of 8 channels of a tile.
double cost(const OpContext& context, int tile, double input, double output) {
  // The share of the shorter of products and reading of weights that the other does not hide.
  constexpr double kNotHidden = 0.3;
  const Problem problem = read_problem(context);
  const WinogradConv conv = make(context, problem, tile);
  const WinogradConv::Sizes sizes = conv.sizes();
  const double tiles = static_cast<double>(conv.tiles()), blocks = static_cast<double>(sizes.in_padded) / 8;
  const double panels = static_cast<double>(sizes.panels);
  const int threads = context.options.threads;
  const bool wide = cpu_features().avx512;
  // GFLOP/s of the products. With AVX-512 threads wait for the third-level cache where maps pass through it.
  const bool waiting = wide && conv.shares_maps();
  const double rate = waiting ? 110 : wide ? (threads > 1 ? 150 : 165) : 75;
  const double products =
      tiles * sizes.points() * 2 * static_cast<double>(sizes.in_padded) * panels * 16 / (rate * threads);
  const double slower = waiting ? 1.6 : 1, back = wide ? output / 2 : output;
  const double transforms = slower * tiles * (blocks * input + panels * 2 * back) / threads;
  // Bytes a nanosecond of weights from memory, and from the third-level cache beside the products.
  const double bandwidth = wide ? 8 + 8 * std::min(threads, 2) : 24, again = 60.0 * threads;
  const double weights = static_cast<double>(conv.weights_bytes()) / bandwidth;
  return std::max(products, weights) + kNotHidden * std::min(products, weights) + transforms +
         conv.reread_weights() / again + 3000;
}

std::unique_ptr<Kernel> prepare(const OpContext& context, int tile) {
  const Problem problem = read_problem(context);
  const WinogradConv conv = make(context, problem, tile);
  const Tensor& weights = *context.constant(kW);
  const std::string side = std::to_string(tile);
  const std::string format = "winograd" + side + 'x' + side + ':' + std::to_string(conv.sizes().in_padded);
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

// Of the larger tiles' weights there are four times as many as in the direct method, of the smaller ones' less than
// twice.
double cost_winograd(const OpContext& context) { return cost(context, 4, 70, 60); }
double cost_winograd_small(const OpContext& context) { return cost(context, 2, 30, 22); }

std::unique_ptr<Kernel> prepare_winograd(const OpContext& context) { return prepare(context, 4); }
std::unique_ptr<Kernel> prepare_winograd_small(const OpContext& context) { return prepare(context, 2); }

}  // namespace fastort::conv
