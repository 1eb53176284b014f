#include <limits>

#include "ops/conv/conv.h"

#include "base/cpu_info.h"

namespace fastort::conv {

ActivationSpec read_activation(const Attributes& attributes) {
  struct Row {
    const char* name;
    Activation kind;
    size_t params;
    float alpha, beta;
  };
  static constexpr Row kRows[] = {
      {"Relu", Activation::Relu, 0, 0, 0},
      {"LeakyRelu", Activation::LeakyRelu, 1, 0.01f, 0},
      {"Clip", Activation::Clip, 2, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()},
      {"Sigmoid", Activation::Sigmoid, 0, 0, 0},
      {"Tanh", Activation::Tanh, 0, 0, 0},
      {"HardSigmoid", Activation::HardSigmoid, 2, 0.2f, 0.5f},
      {"HardSwish", Activation::HardSwish, 0, 0, 0},
      {"Silu", Activation::Silu, 0, 0, 0},
      {"Gelu", Activation::Gelu, 0, 0, 0},
      {"GeluTanh", Activation::GeluTanh, 0, 0, 0},
  };
  const std::string name = attributes.get_string("activation", "");
  if (name.empty()) return {};
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    ActivationSpec spec{row.kind, row.alpha, row.beta};
    const std::vector<float> params = attributes.get_floats("activation_params");
    if (params.size() > 2) invalid_graph("attribute activation_params has more than two items");
    if (!params.empty() && row.params > 0) spec.alpha = params[0];
    if (params.size() > 1 && row.params > 1) spec.beta = params[1];
    return spec;
  }
  std::string known;
  for (const Row& row : kRows) known += std::string(known.empty() ? "" : ", ") + row.name;
  not_implemented("the fused activation '" + name + "'; there are " + known);
}

void refuse_many_dims(int rank) {
  if (rank > kernels::ConvShape::kMaxRank)
    not_implemented("a convolution over " + std::to_string(rank) + " spatial dimensions; three are the most");
}

kernels::ConvShape read_shape(const Attributes& attributes, const Window& window, const Shape& x, const Shape& y) {
  kernels::ConvShape shape;
  shape.rank = window.rank;
  shape.batch = x[0];
  shape.in_channels = x[1];
  shape.out_channels = y[1];
  shape.groups = attributes.get_int("group", 1);
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i) {
    shape.in[i] = x[i + 2];
    shape.out[i] = y[i + 2];
    shape.kernel[i] = window.kernel[i];
    shape.stride[i] = window.stride[i];
    shape.dilation[i] = window.dilation[i];
    shape.pad_begin[i] = window.pad_begin[i];
    shape.pad_end[i] = window.pad_end[i];
  }
  return shape;
}

kernels::ConvShape read_shape(const Attributes& attributes, const Shape& x, const Shape& w, const Shape& y) {
  const int rank = x.rank() - 2;
  refuse_many_dims(rank);
  Window window = Window::parse(attributes, rank, std::span<const Dim>(w).subspan(2));
  window.resolve(std::span<const Dim>(x).subspan(2));
  return read_shape(attributes, window, x, y);
}

Problem read_problem(const OpContext& context) {
  Problem problem;
  problem.shape = read_shape(context.attributes(), context.shape(kX), context.shape(kW), context.out(0).shape);
  problem.epilogue.bias = context.has_input(kB);
  problem.epilogue.residual = context.has_input(kZ);
  problem.epilogue.activation = read_activation(context.attributes());
  return problem;
}

Refusal refuse_odd_sizes(const kernels::ConvShape& shape) {
  if (shape.batch == 0 || shape.in_channels == 0 || shape.out_channels == 0 || shape.in_pixels() == 0 ||
      shape.out_pixels() == 0)
    return "a dimension is zero";
  // Kernels count single dimensions in 32 bits.
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max() / 4;
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i) {
    if (shape.pad_begin[i] < 0 || shape.pad_end[i] < 0) return "negative pads";
    for (const int64_t size : {shape.in[i], shape.out[i], shape.stride[i], shape.dilation[i] * shape.kernel[i],
                               shape.pad_begin[i], shape.pad_end[i]})
      if (size > kMax) return "sizes beyond 32 bits";
  }
  return {};
}

Refusal refuse_layouts(const OpContext& context) {
  const Layout out = context.out(0).layout;
  if (channel_block(out) > 1 && context.in(kX).layout != out && context.in(kX).constant) return "a constant X is plain";
  if (context.has_input(kZ) && context.in(kZ).layout != out) return "the residual has another layout than the output";
  return {};
}

double vector_rate() { return cpu_features().avx512 ? 1.85 : 1; }

double estimate(const OpContext& context, const kernels::ConvShape& shape, double flops, double gflops) {
  // Bytes a nanosecond of a map that one kernel wrote and the next reads.
  constexpr double kBandwidth = 20;
  const double weights = static_cast<double>(shape.out_channels * shape.in_group() * shape.taps());
  const double bytes =
      4.0 * (static_cast<double>(physical_count(context.shape(kX), context.in(kX).layout)) +
             static_cast<double>(physical_count(context.out(0).shape, context.out(0).layout)) + weights);
  return flops / (gflops * vector_rate() * context.options.threads) + bytes / (kBandwidth * vector_rate()) + 500;
}

std::optional<double> estimate_pointwise(const OpContext& context, const kernels::ConvShape& shape,
                                         const PointwiseCosts& costs) {
  constexpr int64_t kFewPixels = 30, kBlock = 16;
  const int64_t pixels = shape.batch * shape.out_pixels();
  if (!cpu_features().avx512 || !shape.pointwise() || shape.groups != 1 || pixels < kFewPixels) return std::nullopt;
  if (context.in(kX).layout != Layout::C16 || context.out(0).layout != Layout::C16) return std::nullopt;
  const auto whole = [](int64_t channels) { return static_cast<double>((channels + kBlock - 1) / kBlock * kBlock); };
  const double in = static_cast<double>(shape.in_channels), out = whole(shape.out_channels);
  const double read = context.options.threads > 1 ? whole(shape.in_channels) * costs.input : 0;
  const double maps = 4 * static_cast<double>(pixels) * (read + out * costs.output);
  const double operations = 2 * static_cast<double>(pixels) * in * out * costs.operation;
  return (operations + maps) / context.options.threads + 4 * in * out * costs.weights + costs.start;
}

}  // namespace fastort::conv
