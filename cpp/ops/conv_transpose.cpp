#include "kernels/conv/transpose.h"
#include "kernels/gemm/sgemm.h"
#include "ops/conv/conv.h"
#include "ops/core/window.h"
#include "ops/gpu/window.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

using kernels::ConvShape;

// ---- inference -----------------------------------------------------------------------------------------------------

// What the attributes say beyond the window itself.
struct Output {
  Window window;
  std::vector<int64_t> shape;  // attribute output_shape: its spatial items, or empty
  Window::Ints padding;        // attribute output_padding
};

Output read_output(const Attributes& attributes, int rank, std::span<const Dim> kernel) {
  Output output;
  output.window = Window::parse(attributes, rank, kernel);
  output.shape = attributes.get_ints("output_shape");
  // Some exporters write N and C as well.
  if (output.shape.size() == static_cast<size_t>(rank) + 2)
    output.shape.erase(output.shape.begin(), output.shape.begin() + 2);
  if (!output.shape.empty() && output.shape.size() != static_cast<size_t>(rank))
    invalid_graph("attribute output_shape has " + std::to_string(output.shape.size()) + " items, " +
                  std::to_string(rank) + " are needed");
  for (const int64_t size : output.shape)
    if (size < 0) invalid_graph("attribute output_shape has a negative item");
  const std::vector<int64_t> padding = attributes.get_ints("output_padding");
  if (!padding.empty() && padding.size() != static_cast<size_t>(rank))
    invalid_graph("attribute output_padding has " + std::to_string(padding.size()) + " items, " + std::to_string(rank) +
                  " are needed");
  output.padding = padding.empty() ? Window::Ints(static_cast<size_t>(rank), 0) : Window::Ints(std::span(padding));
  for (size_t i = 0; i < output.padding.size(); ++i)
    if (output.padding[i] < 0 || output.padding[i] >= std::max(output.window.stride[i], output.window.dilation[i]))
      invalid_graph("attribute output_padding has the value " + std::to_string(output.padding[i]) +
                    ", which is not below the stride or the dilation");
  return output;
}

bool is_same(const Window& window) {
  return window.auto_pad == Window::AutoPad::SameUpper || window.auto_pad == Window::AutoPad::SameLower;
}

Dim output_size(SymbolTable& symbols, const Output& output, int axis, Dim in) {
  const auto i = static_cast<size_t>(axis);
  const Window& window = output.window;
  if (!output.shape.empty()) return output.shape[i];
  const int64_t stride = window.stride[i];
  if (is_same(window)) return stride == 1 ? in : symbols.mul(in, stride);
  const int64_t rest = output.padding[i] + window.extent(axis) - window.pad_begin[i] - window.pad_end[i] - stride;
  if (is_known(in)) {
    const int64_t out = in * stride + rest;
    if (out < 0) invalid_graph("the pads leave nothing of the output");
    return out;
  }
  const Dim scaled = stride == 1 ? in : symbols.mul(in, stride);
  return rest == 0 ? scaled : symbols.add(scaled, rest);
}

void infer_conv_transpose(InferContext& context) {
  const DataType type = context.type(0);
  for (int i = 1; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != type) context.fail("its inputs have different types");
  const bool has_x = context.has_shape(0), has_w = context.has_shape(1);
  if (!has_x && !has_w) return context.out(0, type);
  const int rank = has_x ? context.shape(0).rank() : context.shape(1).rank();
  if (rank < 3) context.fail("X needs at least three dimensions [N,C,...]");
  if (has_x && has_w && context.shape(1).rank() != rank) context.fail("X and W have different ranks");
  conv::refuse_many_dims(rank - 2);
  const int64_t groups = context.attributes().get_int("group", 1);
  if (groups < 1) context.fail("attribute group is " + std::to_string(groups));
  Shape y(static_cast<size_t>(rank), Dim{0});
  y[0] = has_x ? context.shape(0)[0] : context.unknown();
  y[1] = context.unknown();
  if (has_w) {
    const Shape& w = context.shape(1);
    if (is_known(w[1]) && groups > (int64_t{1} << 40)) context.fail("attribute group is " + std::to_string(groups));
    y[1] = groups == 1 ? w[1] : context.symbols.mul(w[1], groups);
    if (is_known(w[0]) && w[0] % groups != 0)
      context.fail("the " + std::to_string(w[0]) + " channels of W do not divide by group " + std::to_string(groups));
    if (has_x && is_known(w[0]) && is_known(context.shape(0)[1]) && w[0] != context.shape(0)[1])
      context.fail("X has " + std::to_string(context.shape(0)[1]) + " channels, W " + to_string(w) + " wants " +
                   std::to_string(w[0]));
    if (context.has_shape(2)) {
      const Shape& b = context.shape(2);
      if (b.rank() != 1 || (is_known(b[0]) && is_known(y[1]) && b[0] != y[1]))
        context.fail("B has the shape " + to_string(b) + ", [" + std::to_string(y[1]) + "] is needed");
    }
  }
  const Shape kernel = has_w ? Shape(std::span<const Dim>(context.shape(1)).subspan(2)) : Shape();
  const bool usable = has_x && ((has_w && kernel.is_concrete()) || context.attributes().has("kernel_shape"));
  if (!has_w && !context.attributes().has("kernel_shape")) {
    for (size_t i = 2; i < y.size(); ++i) y[i] = context.unknown();
    return context.out(0, type, std::move(y));
  }
  try {
    const Output output = read_output(context.attributes(), rank - 2, kernel);
    for (int i = 0; i < rank - 2; ++i) {
      const auto axis = static_cast<size_t>(i + 2);
      y[axis] = usable || !output.shape.empty()
                    ? output_size(context.symbols, output, i, has_x ? context.shape(0)[axis] : Dim{1})
                    : context.unknown();
    }
  } catch (const Error& error) {
    context.fail(error.what());
  }
  context.out(0, type, std::move(y));
}

// ---- candidates ----------------------------------------------------------------------------------------------------

ConvShape read_shape(const OpContext& context) {
  const Shape &x = context.shape(0), &w = context.shape(1), &y = context.out(0).shape;
  const int rank = x.rank() - 2;
  conv::refuse_many_dims(rank);
  const Output output = read_output(context.attributes(), rank, std::span<const Dim>(w).subspan(2));
  const Window& window = output.window;
  ConvShape shape = conv::read_shape(context.attributes(), window, x, y);
  if (output.shape.empty() && !is_same(window)) return shape;
  for (int axis = 0; axis < rank; ++axis) {
    const auto i = static_cast<size_t>(axis);
    const int64_t total = window.stride[i] * (x[i + 2] - 1) + output.padding[i] + window.extent(axis) - y[i + 2];
    // Less than nothing to cut off means zeros behind the outputs; none are put in front.
    const int64_t cut = std::max<int64_t>(total, 0);
    shape.pad_begin[i] = window.auto_pad == Window::AutoPad::SameUpper ? cut / 2 : cut - cut / 2;
    shape.pad_end[i] = total - shape.pad_begin[i];
  }
  return shape;
}

Refusal accepts_gemm(const OpContext& context) {
  if (context.type(0) != DataType::Float) return "only float32";
  const ConvShape shape = read_shape(context);
  if (shape.batch == 0 || shape.in_channels == 0 || shape.out_channels == 0 || shape.in_pixels() == 0 ||
      shape.out_pixels() == 0)
    return "a dimension is zero";
  if (shape.in_group() < 4) return "too few channels in a group for a matrix product";
  return {};
}

double cost_gemm(const OpContext& context) {
  const ConvShape shape = read_shape(context);
  const double columns = static_cast<double>(shape.batch * shape.out_channels * shape.taps() * shape.in_pixels());
  return columns * static_cast<double>(shape.in_group()) * 2 / (70.0 * context.options.threads) + columns + 1000;
}

double cost_reference(const OpContext& context) {
  const ConvShape shape = read_shape(context);
  return static_cast<double>(shape.batch * shape.out_channels * shape.taps() * shape.in_pixels()) *
             static_cast<double>(shape.in_group()) / context.options.threads +
         1000;
}

std::unique_ptr<Kernel> prepare_gemm(const OpContext& context) {
  const ConvShape shape = read_shape(context);
  const int64_t pixels = shape.in_pixels(), rows = shape.out_group() * shape.taps();
  kernels::SgemmSizes sizes;
  sizes.m = rows, sizes.n = pixels, sizes.k = shape.in_group();
  sizes.trans_a = true;
  sizes.a_stride = rows, sizes.b_stride = pixels, sizes.c_stride = pixels;
  const kernels::Sgemm gemm(sizes);
  const size_t columns_bytes = align_up(static_cast<size_t>(rows * pixels) * sizeof(float));
  const bool bias = context.has_input(2);
  return make_kernel(
      [=](const KernelArgs& args) {
        auto* columns = reinterpret_cast<float*>(args.workspace);
        std::byte* workspace = args.workspace + columns_bytes;
        for (int64_t n = 0; n < shape.batch; ++n)
          for (int64_t g = 0; g < shape.groups; ++g) {
            const int64_t channel = n * shape.in_channels + g * shape.in_group();
            kernels::SgemmItem item;
            item.a = args.in<float>(1) + g * shape.in_group() * rows;
            item.b = args.in<float>(0) + channel * pixels;
            item.c = columns;
            gemm.run(item, {}, workspace, args.parallel);
            const int64_t m = g * shape.out_group();
            kernels::col2im(shape, shape.out_group(), columns, bias ? args.in<float>(2) + m : nullptr,
                            args.out<float>(0) + (n * shape.out_channels + m) * shape.out_pixels(), args.parallel);
          }
      },
      columns_bytes + gemm.workspace_bytes());
}

template <class T>
std::unique_ptr<Kernel> make_reference(const OpContext& context) {
  return make_kernel([shape = read_shape(context), bias = context.has_input(2)](const KernelArgs& args) {
    kernels::conv_transpose_reference(shape, args.in<T>(0), args.in<T>(1), bias ? args.in<T>(2) : nullptr,
                                      args.out<T>(0), args.parallel);
  });
}

std::unique_ptr<Kernel> prepare_reference(const OpContext& context) {
  return with_type(FloatList{}, "a transposed convolution", context.type(0),
                   [&]<class T>(std::type_identity<T>) { return make_reference<T>(context); });
}

constexpr Candidate kCandidates[] = {
    {"gemm", accepts_gemm, prepare_gemm, kPlainOnly, cost_gemm},
    {"reference", nullptr, prepare_reference, kPlainOnly, cost_reference},
};

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != DataType::Float) return "inputs of other types than float32";
  kernels::ConvEpilogue epilogue;
  epilogue.bias = context.has_input(2);
  return gpu::add_conv_any(
      work, read_shape(context), epilogue, /*transposed=*/true,
      {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1), epilogue.bias ? GpuWork::input(2) : GpuWork::none()},
      traits);
}
constexpr GpuRecipe kGpu{kFloat32, gpu_work};

constexpr OpDef kOps[] = {
    {.domain = "",
     .name = "ConvTranspose",
     .infer = infer_conv_transpose,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> conv_transpose_ops() { return kOps; }

}  // namespace fastort
