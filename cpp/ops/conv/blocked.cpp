#include "kernels/conv/depthwise_block.h"
#include "kernels/conv/pointwise.h"
#include "kernels/reorder.h"
#include "ops/conv/conv.h"

// Our own kernels for maps in blocks of channels: 1x1 convolutions, gated or not, and depthwise ones.
namespace fastort::conv {
namespace {

using kernels::DepthwiseBlock;
using kernels::PointwiseConv;

Refusal refuse_common(const OpContext& context, const kernels::ConvShape& shape) {
  if (context.type(kX) != DataType::Float) return "only float32";
  if (context.in(kX).layout != context.out(0).layout) return "X and Y in different layouts";
  if (!context.constant(kW)) return "weights that are not constant";
  if (Refusal refusal = refuse_odd_sizes(shape)) return refusal;
  return refuse_layouts(context);
}

std::shared_ptr<Buffer> pack_pointwise_weights(const OpContext& context, const PointwiseConv& conv, int block) {
  const Tensor& weights = *context.constant(kW);
  return context.packs.get(weights, "pointwise:" + std::to_string(block), conv.weights_bytes(), [&](std::byte* dst) {
    conv.pack_weights(weights.data<float>(), reinterpret_cast<float*>(dst));
  });
}

// Weights from L3 or memory, bytes a nanosecond: what bounds maps of few pixels.
constexpr double kWeightsBandwidth = 40;

}  // namespace

// ---- pointwise -----------------------------------------------------------------------------------------------------

Refusal accepts_pointwise_blocks(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  if (Refusal refusal = refuse_common(context, shape)) return refusal;
  if (!shape.pointwise() || shape.groups != 1) return "only 1x1 kernels with stride 1 and one group";
  return {};
}

double cost_pointwise_blocks(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  // Fitted to the layers of seven models on a Xeon of 2.6 GHz, on one and two threads: eight of ten within 7%.
  constexpr PointwiseCosts kCosts{1.0 / 202, 1.0 / 64, 1.0 / 78, 1.0 / 46, 1100};
  if (const auto cost = estimate_pointwise(context, shape, kCosts)) return *cost;
  const double weights = 4.0 * static_cast<double>(shape.in_channels * shape.out_channels) / kWeightsBandwidth;
  return std::max(estimate(context, shape, 2 * shape.macs(), shape.out_pixels() <= 64 ? 92 : 86), weights);
}

std::unique_ptr<Kernel> prepare_pointwise_blocks(const OpContext& context) {
  const Problem problem = read_problem(context);
  const int block = channel_block(context.out(0).layout);
  const PointwiseConv conv(problem.shape, problem.epilogue, false, block, context.options.threads);
  return make_kernel(
      [conv, packed = pack_pointwise_weights(context, conv, block),
       epilogue = problem.epilogue](const KernelArgs& args) {
        conv.run(args.in<float>(kX), reinterpret_cast<const float*>(packed->data()),
                 epilogue.bias ? args.in<float>(kB) : nullptr, epilogue.residual ? args.in<float>(kZ) : nullptr,
                 nullptr, args.out<float>(0), args.workspace, args.parallel);
      },
      conv.workspace_bytes(), 1u << kW);
}

// ---- gated: fastort::GatedConv -------------------------------------------------------------------------------------

double cost_gated(const OpContext& context) {
  const double blocked = cost_pointwise_blocks(context);
  if (context.out(0).layout == Layout::Plain) return 4 * blocked;
  // Each number of the input that is multiplied by the gate, nanoseconds.
  constexpr double kGate = 0.19;
  return blocked + kGate * static_cast<double>(context.shape(kX).count()) / context.options.threads;
}

std::unique_ptr<Kernel> prepare_gated(const OpContext& context) {
  const Problem problem = read_problem(context);
  const Layout layout = context.out(0).layout;
  const auto run = [epilogue = problem.epilogue](const PointwiseConv& conv, const Buffer& packed,
                                                 const KernelArgs& args, const float* x, const float* residual,
                                                 const float* gate, float* dst, std::byte* workspace) {
    conv.run(x, reinterpret_cast<const float*>(packed.data()), epilogue.bias ? args.in<float>(kB) : nullptr, residual,
             gate, dst, workspace, args.parallel);
  };
  if (context.out(0).shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const bool plain = layout == Layout::Plain;
  const Layout inside = plain ? Layout::C8 : layout;
  const int block = channel_block(inside);
  const PointwiseConv conv(problem.shape, problem.epilogue, true, block, context.options.threads);
  auto packed = pack_pointwise_weights(context, conv, block);
  const bool residual = problem.epilogue.residual;
  if (!plain)
    return make_kernel(
        [=](const KernelArgs& args) {
          run(conv, *packed, args, args.in<float>(kX), residual ? args.in<float>(kZ) : nullptr, args.in<float>(kGate),
              args.out<float>(0), args.workspace);
        },
        conv.workspace_bytes(), 1u << kW);
  // Where blocks are not wanted, they are made for this kernel alone.
  const Shape x = context.shape(kX), gate = context.shape(kGate), y = context.out(0).shape;
  const auto bytes = [&](const Shape& shape) {
    return align_up(static_cast<size_t>(physical_count(shape, inside)) * sizeof(float));
  };
  const size_t gate_at = bytes(x), residual_at = gate_at + bytes(gate);
  const size_t dst_at = residual_at + (residual ? bytes(y) : 0), rest_at = dst_at + bytes(y);
  return make_kernel(
      [=](const KernelArgs& args) {
        const auto copy = [&](int i, size_t at, const Shape& shape) {
          kernels::reorder(args.pointers[i], Layout::Plain, args.workspace + at, inside, shape, sizeof(float),
                           args.parallel);
          return reinterpret_cast<const float*>(args.workspace + at);
        };
        const float* from = copy(kX, 0, x);
        const float* factors = copy(kGate, gate_at, gate);
        const float* added = residual ? copy(kZ, residual_at, y) : nullptr;
        run(conv, *packed, args, from, added, factors, reinterpret_cast<float*>(args.workspace + dst_at),
            args.workspace + rest_at);
        kernels::reorder(args.workspace + dst_at, inside, args.pointers[args.num_inputs], Layout::Plain, y,
                         sizeof(float), args.parallel);
      },
      rest_at + conv.workspace_bytes(), 1u << kW);
}

// ---- depthwise -----------------------------------------------------------------------------------------------------

Refusal refuse_depthwise_blocks(const kernels::ConvShape& shape) {
  if (!shape.depthwise()) return "only as many groups as channels";
  if (shape.rank != 2) return "only two spatial dimensions";
  if (shape.stride[1] > 2) return "only strides of one or two columns";
  // The rows of the window are held at once.
  constexpr int64_t kMaxReach = 64;
  for (size_t i = 0; i < 2; ++i)
    if ((shape.kernel[i] - 1) * shape.dilation[i] >= kMaxReach) return "only windows of up to 64 rows and columns";
  return {};
}

Refusal accepts_depthwise_blocks(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  if (Refusal refusal = refuse_common(context, shape)) return refusal;
  return refuse_depthwise_blocks(shape);
}

double cost_depthwise_blocks(const OpContext& context) {
  const kernels::ConvShape shape = read_problem(context).shape;
  return estimate(context, shape, 2 * shape.macs(), shape.taps() > 9 ? 60 : 42);
}

std::unique_ptr<Kernel> prepare_depthwise_blocks(const OpContext& context) {
  const Problem problem = read_problem(context);
  const int block = channel_block(context.out(0).layout);
  const DepthwiseBlock conv(problem.shape, problem.epilogue, {}, block, context.options.threads);
  const Tensor& constant = *context.constant(kW);
  auto packed = context.packs.get(
      constant, "depthwise:" + std::to_string(block), conv.weights_bytes(),
      [&](std::byte* dst) { conv.pack_weights(constant.data<float>(), reinterpret_cast<float*>(dst)); });
  return make_kernel(
      [conv, packed, epilogue = problem.epilogue](const KernelArgs& args) {
        DepthwiseBlock::Weights weights;
        weights.depthwise = reinterpret_cast<const float*>(packed->data());
        weights.bias = epilogue.bias ? args.in<float>(kB) : nullptr;
        conv.run(args.in<float>(kX), weights, epilogue.residual ? args.in<float>(kZ) : nullptr, args.out<float>(0),
                 nullptr, args.workspace, args.parallel);
      },
      conv.workspace_bytes(), 1u << kW);
}

}  // namespace fastort::conv
