#include "ops/conv/conv.h"

namespace fastort::conv {
namespace {

// Sizes of Y; throws InvalidGraph where X, W and B do not fit.
Shape output_shape(const InferContext& context, int x, int w, int rank) {
  const Attributes& attributes = context.attributes();
  const bool has_x = context.has_shape(x), has_w = context.has_shape(w);
  Shape y(static_cast<size_t>(rank), Dim{0});
  y[0] = has_x ? context.shape(x)[0] : context.unknown();
  y[1] = has_w ? context.shape(w)[0] : context.unknown();
  if (!has_w && !attributes.has("kernel_shape")) {
    for (int i = 2; i < rank; ++i) y[static_cast<size_t>(i)] = context.unknown();
    return y;
  }
  Shape kernel;
  if (has_w) kernel = Shape(std::span<const Dim>(context.shape(w)).subspan(2));
  const bool known = kernel.is_concrete();
  const Window window = Window::parse(attributes, rank - 2, kernel);
  for (int i = 0; i < rank - 2; ++i) {
    const bool usable = has_x && (known || attributes.has("kernel_shape"));
    y[static_cast<size_t>(i + 2)] =
        usable ? window.output(context.symbols, i, context.shape(x)[static_cast<size_t>(i + 2)]) : context.unknown();
  }
  return y;
}

void check_channels(const InferContext& context, int x, int w, int b) {
  const int64_t groups = context.attributes().get_int("group", 1);
  if (groups < 1) context.fail("attribute group is " + std::to_string(groups));
  if (!context.has_shape(w)) return;
  const Shape& weights = context.shape(w);
  if (context.has_shape(x)) {
    const Dim channels = context.shape(x)[1];
    // Divided rather than multiplied: group may be as large as an int64.
    if (is_known(channels) && is_known(weights[1]) && (channels % groups != 0 || channels / groups != weights[1]))
      context.fail("X has " + std::to_string(channels) + " channels, but W " + to_string(weights) + " with group " +
                   std::to_string(groups) + " wants as many times " + std::to_string(weights[1]));
  }
  if (is_known(weights[0]) && weights[0] % groups != 0)
    context.fail("the " + std::to_string(weights[0]) + " output channels of W do not divide by group " +
                 std::to_string(groups));
  if (context.has_shape(b)) {
    const Shape& bias = context.shape(b);
    if (bias.rank() != 1 || (is_known(bias[0]) && is_known(weights[0]) && bias[0] != weights[0]))
      context.fail("B has the shape " + to_string(bias) + ", [" + std::to_string(weights[0]) + "] is needed");
  }
}

}  // namespace

std::optional<Shape> infer_output(const InferContext& context, int x, int w, int b) {
  const bool has_x = context.has_shape(x), has_w = context.has_shape(w);
  if (!has_x && !has_w) return std::nullopt;
  const int rank = context.shape(has_x ? x : w).rank();
  if (rank < 3) context.fail("X needs at least three dimensions [N,C,...]");
  if (has_x && has_w && context.shape(w).rank() != rank) context.fail("X and W have different ranks");
  refuse_many_dims(rank - 2);
  check_channels(context, x, w, b);
  try {
    return output_shape(context, x, w, rank);
  } catch (const Error& error) {
    context.fail(error.what());
  }
}

}  // namespace fastort::conv
