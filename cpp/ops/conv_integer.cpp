#include <type_traits>

#include "kernels/conv/integer.h"
#include "kernels/quantized/conv.h"
#include "ops/conv/conv.h"
#include "ops/gpu/bytes.h"
#include "ops/quantized/params.h"

namespace fastort {
namespace {

using kernels::ConvShape;
using quantized::Affine;

using quantized::kBytes;

// Calls f(T{}, W{}) with the element types of the inputs `x` and `w`.
template <class F>
auto with_types(const OpContext& context, int x, int w, F f) {
  const DataType left = context.type(x), right = context.type(w);
  if (!kBytes.has(left) || !kBytes.has(right))
    not_implemented("an integer convolution of " + std::string(name(left)) + " and " + std::string(name(right)));
  if (left == DataType::UInt8) return right == DataType::UInt8 ? f(uint8_t{}, uint8_t{}) : f(uint8_t{}, int8_t{});
  return right == DataType::UInt8 ? f(int8_t{}, uint8_t{}) : f(int8_t{}, int8_t{});
}

void expect_type(const OpContext& context, int input, DataType type) {
  if (context.has_input(input) && context.type(input) != type)
    context.fail("input " + std::to_string(input) + " is " + std::string(name(context.type(input))) + " instead of " +
                 std::string(name(type)));
}

// A scale or zero point is one value, or one for each of `channels`; true for the latter.
bool is_per_channel(const OpContext& context, int input, int64_t channels) {
  const int64_t count = context.shape(input).count();
  if (count == 1) return false;
  if (count != channels)
    context.fail("input " + std::to_string(input) + " has " + std::to_string(count) + " elements, one or " +
                 std::to_string(channels) + " are needed");
  return true;
}

// ---- ConvInteger ---------------------------------------------------------------------------------------------------

void infer_conv_integer(InferContext& context) {
  constexpr int kNoBias = 64;
  std::optional<Shape> y = conv::infer_output(context, 0, 1, kNoBias);
  if (!y) return context.out(0, DataType::Int32);
  context.out(0, DataType::Int32, std::move(*y));
}

std::unique_ptr<Kernel> prepare_conv_integer(const OpContext& context) {
  const ConvShape shape =
      conv::read_shape(context.attributes(), context.shape(0), context.shape(1), context.out(0).shape);
  expect_type(context, 2, context.type(0));
  expect_type(context, 3, context.type(1));
  const bool has_x_zero = context.has_input(2), has_w_zero = context.has_input(3);
  if (has_x_zero && context.shape(2).count() != 1) context.fail("x_zero_point is not a single value");
  const bool per_channel = has_w_zero && is_per_channel(context, 3, shape.out_channels);
  return with_types(context, 0, 1, [&]<class T, class W>(T, W) -> std::unique_ptr<Kernel> {
    return make_kernel([=](const KernelArgs& args) {
      kernels::ConvZeroPoints<W> zero;
      zero.src = has_x_zero ? *args.in<T>(2) : 0;
      zero.weights = has_w_zero ? args.in<W>(3) : nullptr;
      zero.per_channel = per_channel;
      int32_t* dst = args.out<int32_t>(0);
      auto store = [dst](int64_t, int64_t at, const int32_t* sums, int64_t count) {
        std::copy(sums, sums + count, dst + at);
      };
      kernels::conv_integer<T, W>(shape, args.in<T>(0), args.in<W>(1), zero, store, args.parallel);
    });
  });
}

// ---- QLinearConv ---------------------------------------------------------------------------------------------------

enum Input { kX, kXScale, kXZero, kW, kWScale, kWZero, kYScale, kYZero, kB };

void infer_qlinear_conv(InferContext& context) {
  const DataType type = context.has_input(kYZero) ? context.type(kYZero) : context.type(kX);
  std::optional<Shape> y = conv::infer_output(context, kX, kW, kB);
  if (!y) return context.out(0, type);
  context.out(0, type, std::move(*y));
}

template <class T, class W, class Y>
std::unique_ptr<Kernel> make_qlinear_conv(const OpContext& context, const ConvShape& shape) {
  for (const int input : {kXScale, kWScale, kYScale}) expect_type(context, input, DataType::Float);
  expect_type(context, kXZero, context.type(kX));
  expect_type(context, kWZero, context.type(kW));
  expect_type(context, kYZero, kDataTypeOf<Y>);
  expect_type(context, kB, DataType::Int32);
  for (const int input : {kXScale, kXZero, kYScale, kYZero})
    if (context.shape(input).count() != 1) context.fail("input " + std::to_string(input) + " is not a single value");
  const bool scales = is_per_channel(context, kWScale, shape.out_channels);
  const bool zeros = is_per_channel(context, kWZero, shape.out_channels);
  const bool bias = context.has_input(kB);
  return make_kernel([=, attributes = context.attributes()](const KernelArgs& args) {
    const kernels::ConvZeroPoints<W> zero{*args.in<T>(kXZero), args.in<W>(kWZero), zeros};
    const float* w_scale = args.in<float>(kWScale);
    const float x_scale = *args.in<float>(kXScale), y_scale = *args.in<float>(kYScale);
    const kernels::ByteRange range =
        quantized::read_range(attributes, std::is_signed_v<Y>, {y_scale, static_cast<int32_t>(*args.in<Y>(kYZero))});
    const int32_t* shift = bias ? args.in<int32_t>(kB) : nullptr;
    Y* dst = args.out<Y>(0);
    auto store = [=](int64_t m, int64_t at, const int32_t* sums, int64_t count) {
      const float scale = x_scale * w_scale[scales ? m : 0] / y_scale;
      const uint32_t add = shift ? static_cast<uint32_t>(shift[m]) : 0;
      for (int64_t i = 0; i < count; ++i) {
        const auto sum = static_cast<int32_t>(static_cast<uint32_t>(sums[i]) + add);
        dst[at + i] = static_cast<Y>(range(static_cast<float>(sum) * scale));
      }
    };
    kernels::conv_integer<T, W>(shape, args.in<T>(kX), args.in<W>(kW), zero, store, args.parallel);
  });
}

std::unique_ptr<Kernel> prepare_qlinear_conv(const OpContext& context) {
  const ConvShape shape =
      conv::read_shape(context.attributes(), context.shape(kX), context.shape(kW), context.out(0).shape);
  return with_types(context, kX, kW, [&]<class T, class W>(T, W) {
    return context.out(0).type == DataType::UInt8 ? make_qlinear_conv<T, W, uint8_t>(context, shape)
                                                  : make_qlinear_conv<T, W, int8_t>(context, shape);
  });
}

// ---- QLinearConv on bytes with the channels last
// ---------------------------------------------------------------------

constexpr Input kParameters[] = {kXScale, kXZero, kW, kWScale, kWZero, kYScale, kYZero};

ConvShape shape_of(const OpContext& context) {
  return conv::read_shape(context.attributes(), context.shape(kX), context.shape(kW), context.out(0).shape);
}

Refusal accepts_channels_last(const OpContext& context) {
  if (context.in(kX).layout != Layout::Nhwc) return "X is constant";
  for (const int input : kParameters)
    if (!context.constant(input)) return "weights, a scale or a zero point that is not constant";
  if (context.has_input(kB) && !context.constant(kB)) return "a bias that is not constant";
  const ConvShape shape = shape_of(context);
  if (Refusal refusal = conv::refuse_odd_sizes(shape)) return refusal;
  return {};
}

bool fits_depthwise(const ConvShape& shape) {
  return shape.depthwise() && shape.rank <= 2 && shape.taps() <= kernels::QuantizedDepthwise::kMaxTaps;
}

double cost_channels_last(const OpContext& context) {
  // Multiply-adds a nanosecond of one thread, and rows widened.
  const ConvShape shape = shape_of(context);
  const double rate = fits_depthwise(shape) ? 25 : 70;
  const double rows = static_cast<double>(shape.batch * shape.out_pixels() * shape.in_channels * shape.taps());
  const double gathered = fits_depthwise(shape) ? 0 : rows / 20;
  return (shape.macs() / rate + gathered) / context.options.threads + 500;
}

kernels::QuantizedConvOutput read_output(const OpContext& context, int64_t channels) {
  const Affine y(context, kYScale, kYZero, context.out(0).type);
  const kernels::ByteScale to = *y.constant(context);
  const kernels::ByteRange range = quantized::read_range(context.attributes(), y.is_signed(), to);
  kernels::QuantizedConvOutput output;
  output.is_signed = range.is_signed;
  output.low = range.low, output.high = range.high, output.zero = range.zero;
  const Tensor* bias = context.constant(kB);
  const float x_scale = *context.constant(kXScale)->data<float>();
  for (const float w_scale : quantized::spread_floats(*context.constant(kWScale), channels))
    output.scales.push_back(x_scale * w_scale / to.scale);
  for (int64_t m = 0; m < channels; ++m) output.bias.push_back(bias ? bias->data<int32_t>()[m] : 0);
  return output;
}

std::unique_ptr<Kernel> prepare_channels_last(const OpContext& context) {
  const ConvShape shape = shape_of(context);
  const Affine x(context, kXScale, kXZero, context.type(kX));
  expect_type(context, kWScale, DataType::Float);
  expect_type(context, kWZero, context.type(kW));
  expect_type(context, kB, DataType::Int32);
  is_per_channel(context, kWScale, shape.out_channels);
  is_per_channel(context, kWZero, shape.out_channels);
  const Tensor& w = *context.constant(kW);
  const int32_t x_zero = x.constant(context)->zero;
  kernels::QuantizedConvWeights weights;
  weights.data = w.raw();
  weights.is_signed = quantized::is_signed(w.type());
  weights.zeros = quantized::spread_bytes(context.constant(kWZero), shape.out_channels);
  kernels::QuantizedConvOutput output = read_output(context, shape.out_channels);
  if (fits_depthwise(shape)) {
    const kernels::QuantizedDepthwise conv(shape, x.is_signed(), x_zero, weights, output);
    return make_kernel(
        [conv](const KernelArgs& args) {
          conv.run(args.in<std::byte>(kX), args.out<std::byte>(0), args.workspace, args.parallel);
        },
        conv.workspace_bytes());
  }
  const kernels::QuantizedConv conv(shape, x.is_signed(), x_zero, weights, std::move(output), context.options.threads);
  std::string format = "qconv-" + kernels::to_string(conv.packing()) + "-" + std::to_string(shape.groups) + "-" +
                       std::string(name(w.type()));
  for (const int32_t zero : weights.zeros) format += zero ? "," + std::to_string(zero) : ",";
  const auto packed =
      context.packs.get(w, format, conv.weights_bytes(), [&](std::byte* dst) { conv.pack_weights(weights, dst); });
  return make_kernel(
      [conv, packed](const KernelArgs& args) {
        conv.run(args.in<std::byte>(kX), packed->data(), args.out<std::byte>(0), args.workspace, args.parallel);
      },
      conv.workspace_bytes(), 1u << kW);
}

// ---- the GPU -------------------------------------------------------------------------------------------------------

// What a parameter of the weights has: one number, or one for each channel of the result.
Refusal per_channel_or_one(const OpContext& context, int input, int64_t channels, bool& per_channel) {
  if (!context.has_input(input)) return {};
  const int64_t count = context.shape(input).count();
  per_channel = count != 1;
  if (count != 1 && count != channels) return "input " + std::to_string(input) + " has another size";
  return {};
}

Refusal start_conv(const OpContext& context, int x, int w, int x_zero, int w_zero, gpu::ByteConv& conv) {
  conv.shape = conv::read_shape(context.attributes(), context.shape(x), context.shape(w), context.out(0).shape);
  if (!kBytes.has(context.type(w))) return "weights of " + std::string(name(context.type(w)));
  if (context.has_input(x_zero) && (context.type(x_zero) != context.type(x) || context.shape(x_zero).count() != 1))
    return "a zero point of another type or size";
  if (context.has_input(w_zero) && context.type(w_zero) != context.type(w)) return "a zero point of another type";
  conv.x_signed = quantized::is_signed(context.type(x));
  conv.w_signed = quantized::is_signed(context.type(w));
  const auto operand = [&](int i) { return context.has_input(i) ? GpuWork::input(i) : GpuWork::none(); };
  conv.x = GpuWork::input(x);
  conv.w = GpuWork::input(w);
  conv.x_zero = operand(x_zero);
  conv.w_zero = operand(w_zero);
  return per_channel_or_one(context, w_zero, conv.shape.out_channels, conv.zeros_per_channel);
}

Refusal gpu_conv_integer(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::ByteConv conv;
  if (Refusal refusal = start_conv(context, 0, 1, 2, 3, conv)) return refusal;
  return gpu::add_byte_conv(conv, traits, work);
}

Refusal gpu_qlinear_conv(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::ByteConv conv;
  if (Refusal refusal = start_conv(context, kX, kW, kXZero, kWZero, conv)) return refusal;
  for (const int input : {kXScale, kWScale, kYScale})
    if (!context.has_input(input) || context.type(input) != DataType::Float) return "scales of another type";
  if (!context.has_input(kYZero) || !kBytes.has(context.type(kYZero))) return "a result that is no byte";
  for (const int input : {kXScale, kYScale, kYZero})
    if (context.shape(input).count() != 1) return "a scale or zero point that is not a single value";
  if (context.has_input(kB) && context.type(kB) != DataType::Int32) return "a bias of another type than int32";
  if (Refusal refusal = per_channel_or_one(context, kWScale, conv.shape.out_channels, conv.scales_per_channel))
    return refusal;
  conv.y_signed = quantized::is_signed(context.out(0).type);
  conv.x_scale = GpuWork::input(kXScale);
  conv.w_scale = GpuWork::input(kWScale);
  conv.y_scale = GpuWork::input(kYScale);
  conv.y_zero = GpuWork::input(kYZero);
  if (context.has_input(kB)) conv.bias = GpuWork::input(kB);
  conv.activation = conv::read_activation(context.attributes());
  return gpu::add_byte_conv(conv, traits, work);
}

constexpr GpuRecipe kGpuConvInteger{kBytes, gpu_conv_integer};
constexpr GpuRecipe kGpuQLinearConv{kBytes, gpu_qlinear_conv};

// Far above the others: two operations a nanosecond.
double cost_reference(const OpContext& context) { return shape_of(context).macs() / context.options.threads; }

constexpr Variant kChannelsLast[] = {{Layout::Nhwc, Layout::Nhwc}};
constexpr Candidate kConvInteger[] = {{"reference", nullptr, prepare_conv_integer}};
constexpr Candidate kQLinearConv[] = {
    {"channels_last", accepts_channels_last, prepare_channels_last, kChannelsLast, cost_channels_last, 1u << kX},
    {"reference", nullptr, prepare_qlinear_conv, kPlainOnly, cost_reference, 1u << kX},
};

constexpr OpDef kOps[] = {
    {.domain = "",
     .name = "ConvInteger",
     .infer = infer_conv_integer,
     .cpu = kConvInteger,
     .types = kBytes,
     .gpu = &kGpuConvInteger},
    {.domain = "",
     .name = "QLinearConv",
     .infer = infer_qlinear_conv,
     .cpu = kQLinearConv,
     .types = kBytes,
     .gpu = &kGpuQLinearConv},
    {.domain = "fastort",
     .name = "QLinearConv",
     .infer = infer_qlinear_conv,
     .cpu = kQLinearConv,
     .types = kBytes,
     .gpu = &kGpuQLinearConv},
};

}  // namespace

std::span<const OpDef> conv_integer_ops() { return kOps; }

}  // namespace fastort
