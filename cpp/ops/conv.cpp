#include "ops/conv/conv.h"

namespace fastort {
namespace {

// Sizes of Y; throws InvalidGraph where X, W and B do not fit.
Shape output_shape(const InferContext& context, int rank) {
  const Attributes& attributes = context.attributes();
  const bool has_x = context.has_shape(conv::kX), has_w = context.has_shape(conv::kW);
  Shape y(static_cast<size_t>(rank), Dim{0});
  y[0] = has_x ? context.shape(conv::kX)[0] : context.unknown();
  y[1] = has_w ? context.shape(conv::kW)[0] : context.unknown();
  if (!has_w && !attributes.has("kernel_shape")) {
    for (int i = 2; i < rank; ++i) y[static_cast<size_t>(i)] = context.unknown();
    return y;
  }
  Shape kernel;
  if (has_w) kernel = Shape(std::span<const Dim>(context.shape(conv::kW)).subspan(2));
  const bool known = kernel.is_concrete();
  const Window window = Window::parse(attributes, rank - 2, kernel);
  for (int i = 0; i < rank - 2; ++i) {
    const bool usable = has_x && (known || attributes.has("kernel_shape"));
    y[static_cast<size_t>(i + 2)] =
        usable ? window.output(context.symbols, i, context.shape(conv::kX)[static_cast<size_t>(i + 2)])
               : context.unknown();
  }
  return y;
}

void check_channels(const InferContext& context) {
  const int64_t groups = context.attributes().get_int("group", 1);
  if (groups < 1) context.fail("attribute group is " + std::to_string(groups));
  if (!context.has_shape(conv::kW)) return;
  const Shape& w = context.shape(conv::kW);
  if (context.has_shape(conv::kX)) {
    const Dim channels = context.shape(conv::kX)[1];
    // Divided rather than multiplied: group may be as large as an int64.
    if (is_known(channels) && is_known(w[1]) && (channels % groups != 0 || channels / groups != w[1]))
      context.fail("X has " + std::to_string(channels) + " channels, but W " + to_string(w) + " with group " +
                   std::to_string(groups) + " wants as many times " + std::to_string(w[1]));
  }
  if (is_known(w[0]) && w[0] % groups != 0)
    context.fail("the " + std::to_string(w[0]) + " output channels of W do not divide by group " +
                 std::to_string(groups));
  if (context.has_shape(conv::kB)) {
    const Shape& b = context.shape(conv::kB);
    if (b.rank() != 1 || (is_known(b[0]) && is_known(w[0]) && b[0] != w[0]))
      context.fail("B has the shape " + to_string(b) + ", [" + std::to_string(w[0]) + "] is needed");
  }
}

void infer_conv(InferContext& context) {
  const bool has_x = context.has_shape(conv::kX), has_w = context.has_shape(conv::kW);
  const DataType type = context.type(conv::kX);
  for (int i = conv::kW; i <= conv::kZ; ++i)
    if (context.has_input(i) && context.type(i) != DataType::Undefined && type != DataType::Undefined &&
        context.type(i) != type)
      context.fail("its inputs have different types");
  if (!has_x && !has_w) return context.out(0, type);
  const int rank = has_x ? context.shape(conv::kX).rank() : context.shape(conv::kW).rank();
  if (rank < 3) context.fail("X needs at least three dimensions [N,C,...]");
  if (has_x && has_w && context.shape(conv::kW).rank() != rank) context.fail("X and W have different ranks");
  check_channels(context);
  Shape y;
  try {
    y = output_shape(context, rank);
  } catch (const Error& error) {
    context.fail(error.what());
  }
  if (context.has_shape(conv::kZ)) {
    const Shape& z = context.shape(conv::kZ);
    bool fits = z.rank() == rank;
    for (size_t i = 0; fits && i < z.size(); ++i) fits = !is_known(z[i]) || !is_known(y[i]) || z[i] == y[i];
    if (!fits) context.fail("Z has the shape " + to_string(z) + ", the output " + to_string(y));
  }
  context.out(0, type, std::move(y));
}

constexpr Variant kDnnlVariants[] = {{Layout::C8, Layout::C8},     {Layout::C16, Layout::C16},
                                     {Layout::Plain, Layout::C8},  {Layout::Plain, Layout::C16},
                                     {Layout::Nhwc, Layout::Nhwc}, {Layout::Plain, Layout::Plain}};
constexpr Variant kBlockedVariants[] = {{Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}};
constexpr uint32_t kLayoutInputs = 1u << conv::kX | 1u << conv::kZ;

constexpr Candidate kCandidates[] = {
    {"vector", conv::accepts_vector, conv::prepare_vector, kAnyLayout, conv::cost_vector, kLayoutInputs},
    {"winograd", conv::accepts_winograd, conv::prepare_winograd, kBlockedVariants, conv::cost_winograd, kLayoutInputs},
    {"onednn", conv::accepts_onednn, conv::prepare_onednn, kDnnlVariants, conv::cost_onednn, kLayoutInputs},
    {"pointwise", conv::accepts_pointwise, conv::prepare_pointwise, kPlainOnly, conv::cost_pointwise, kLayoutInputs},
    {"depthwise", conv::accepts_depthwise, conv::prepare_depthwise, kPlainOnly, conv::cost_depthwise, kLayoutInputs},
    {"reference", nullptr, conv::prepare_reference, kPlainOnly, conv::cost_reference, kLayoutInputs},
};

constexpr OpDef kOps[] = {
    {.domain = "", .name = "Conv", .infer = infer_conv, .cpu = kCandidates, .types = kFloatTypes},
    {.domain = "com.microsoft", .name = "FusedConv", .infer = infer_conv, .cpu = kCandidates, .types = kFloatTypes},
};

}  // namespace

std::span<const OpDef> conv_ops() { return kOps; }

}  // namespace fastort
