#include "kernels/conv/depthwise_block.h"

#include <limits>

#include "kernels/reorder.h"
#include "ops/conv/conv.h"

// fastort::DepthwiseBlock, which a pass makes: a depthwise convolution (W, B; attributes of Conv and FusedConv) behind
// a 1x1 convolution (We, Be; attribute expand_activation), which may be left out, and the mean over the spatial
// dimensions of its result as a second output.
namespace fastort {
namespace {

using kernels::DepthwiseBlock;

enum Input { kX = 0, kExpand = 1, kExpandBias = 2, kWeights = 3, kBias = 4 };

void infer_block(InferContext& context) {
  if (!context.has_shape(kX) || !context.has_shape(kWeights)) {
    context.out(0, context.type(kX));
    return context.out(1, context.type(kX));
  }
  const Shape& x = context.shape(kX);
  const Shape& weights = context.shape(kWeights);
  const int64_t groups = context.attributes().get_int("group", 1);
  if (x.rank() != 4 || weights.rank() != 4) context.fail("X and W need four dimensions");
  const Dim channels = context.has_input(kExpand) ? context.shape(kExpand)[0] : x[1];
  if (weights[0] != groups || weights[1] != 1 || (is_known(channels) && channels != groups))
    context.fail("W " + to_string(weights) + " does not fit " + std::to_string(groups) + " channels");
  if (context.has_input(kExpand) && is_known(x[1]) && context.shape(kExpand)[1] != x[1])
    context.fail("the 1x1 convolution's weights " + to_string(context.shape(kExpand)) + " do not fit X " +
                 to_string(x, context.symbols));
  const Window window = Window::parse(context.attributes(), 2, std::span<const Dim>(weights).subspan(2));
  Shape y{x[0], weights[0], 0, 0};
  for (int i = 0; i < 2; ++i)
    y[static_cast<size_t>(i + 2)] = window.output(context.symbols, i, x[static_cast<size_t>(i + 2)]);
  context.out(1, context.type(kX), Shape{y[0], y[1], 1, 1});
  context.out(0, context.type(kX), std::move(y));
}

struct Described {
  kernels::ConvShape shape;
  kernels::ConvEpilogue epilogue;
  DepthwiseBlock::Parts parts;
};

Described describe(const OpContext& context) {
  Described block;
  Shape x = context.shape(kX);
  block.parts.channels = x[1];
  block.parts.expand = context.has_input(kExpand);
  block.parts.mean = context.has_output(1);
  Attributes expand;
  expand.set("activation", context.attributes().get_string("expand_activation", ""));
  expand.set("activation_params", context.attributes().get_floats("expand_activation_params"));
  block.parts.activation = conv::read_activation(expand);
  x[1] = context.shape(kWeights)[0];
  block.shape = conv::read_shape(context.attributes(), x, context.shape(kWeights), context.out(0).shape);
  block.epilogue.activation = conv::read_activation(context.attributes());
  return block;
}

double cost_block(const OpContext& context) {
  const Described block = describe(context);
  const kernels::ConvShape& shape = block.shape;
  const double threads = context.options.threads;
  double cost = conv::estimate(context, shape, 2 * shape.macs(), 80);
  if (block.parts.expand)
    cost += 2.0 * static_cast<double>(shape.batch * shape.in_pixels() * shape.in_channels * block.parts.channels) /
            (90 * threads);
  return context.out(0).layout == Layout::Plain ? 4 * cost : cost;
}

std::unique_ptr<Kernel> prepare_block(const OpContext& context) {
  const Described block = describe(context);
  const Shape x = context.shape(kX), y = context.out(0).shape;
  const bool mean = block.parts.mean;
  if (y.count() == 0) {
    // The mean of no pixels.
    const int64_t means = mean ? physical_count(context.out(1).shape, context.out(1).layout) : 0;
    return make_kernel([means](const KernelArgs& args) {
      if (means > 0) std::fill_n(args.out<float>(1), means, std::numeric_limits<float>::quiet_NaN());
    });
  }
  const bool plain = context.out(0).layout == Layout::Plain;
  const Layout inside = plain ? Layout::C8 : context.out(0).layout;
  const DepthwiseBlock conv(block.shape, block.epilogue, block.parts, channel_block(inside), context.options.threads);
  for (const int i : {kExpand, kExpandBias, kWeights, kBias})
    if (context.has_input(i) && !context.constant(i)) context.fail("its weights are not constant");
  const std::string blocks = std::to_string(channel_block(inside));
  std::shared_ptr<Buffer> expand, depthwise;
  if (block.parts.expand)
    expand =
        context.packs.get(*context.constant(kExpand), "pointwise:" + blocks, conv.expand_bytes(), [&](std::byte* dst) {
          conv.pack_expand(context.constant(kExpand)->data<float>(), reinterpret_cast<float*>(dst));
        });
  depthwise =
      context.packs.get(*context.constant(kWeights), "depthwise:" + blocks, conv.weights_bytes(), [&](std::byte* dst) {
        conv.pack_weights(context.constant(kWeights)->data<float>(), reinterpret_cast<float*>(dst));
      });
  const uint32_t unread = 1u << kWeights | (expand ? 1u << kExpand : 0);
  const auto weights = [=](const KernelArgs& args) {
    const auto data = [](const auto& buffer) {
      return buffer ? reinterpret_cast<const float*>(buffer->data()) : nullptr;
    };
    return DepthwiseBlock::Weights{data(expand), args.in<float>(kExpandBias), data(depthwise), args.in<float>(kBias)};
  };
  if (!plain)
    return make_kernel(
        [=](const KernelArgs& args) {
          conv.run(args.in<float>(kX), weights(args), nullptr, args.out<float>(0), mean ? args.out<float>(1) : nullptr,
                   args.workspace, args.parallel);
        },
        conv.workspace_bytes(), unread);
  // Where blocks are not wanted, they are made for this kernel alone.
  const auto bytes = [&](const Shape& shape) {
    return align_up(static_cast<size_t>(physical_count(shape, inside)) * sizeof(float));
  };
  const Shape means{y[0], y[1], 1, 1};
  const size_t dst_at = bytes(x), mean_at = dst_at + bytes(y), rest_at = mean_at + bytes(means);
  return make_kernel(
      [=](const KernelArgs& args) {
        const auto at = [&](size_t offset) { return reinterpret_cast<float*>(args.workspace + offset); };
        kernels::reorder(args.pointers[kX], Layout::Plain, args.workspace, inside, x, sizeof(float), args.parallel);
        conv.run(at(0), weights(args), nullptr, at(dst_at), at(mean_at), args.workspace + rest_at, args.parallel);
        std::byte* const* out = args.pointers + args.num_inputs;
        kernels::reorder(args.workspace + dst_at, inside, out[0], Layout::Plain, y, sizeof(float), args.parallel);
        if (mean)
          kernels::reorder(args.workspace + mean_at, inside, out[1], Layout::Plain, means, sizeof(float),
                           args.parallel);
      },
      rest_at + conv.workspace_bytes(), unread);
}

constexpr Variant kVariants[] = {{Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}, {}};
constexpr Candidate kCandidates[] = {{"blocks", nullptr, prepare_block, kVariants, cost_block, 1u << kX}};

constexpr OpDef kOps[] = {
    {.domain = "fastort",
     .name = "DepthwiseBlock",
     .infer = infer_block,
     .cpu = kCandidates,
     .types = TypeMask(DataType::Float)},
};

}  // namespace

std::span<const OpDef> depthwise_block_ops() { return kOps; }

}  // namespace fastort
