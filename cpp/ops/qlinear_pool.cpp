#include "ops/core/window.h"
#include "ops/gpu/bytes.h"
#include "ops/quantized/params.h"

namespace fastort {
namespace {

using kernels::BytePool;
using kernels::PoolKind;
using quantized::Affine;
using quantized::expect_affine;

bool is_global(const Node& node) { return node.op_type == "QLinearGlobalAveragePool"; }
bool is_max(const Node& node) { return node.op_type.ends_with("MaxPool"); }

// Whether the model itself has the channels last.
bool channels_last(const Node& node) {
  return node.op_type == "NhwcMaxPool" || node.attributes.get_int("channels_last", 0) != 0;
}

void refuse_many_dims(int rank) {
  if (rank > 3) not_implemented("pooling over " + std::to_string(rank) + " spatial dimensions; three are the most");
}

void infer_pool(InferContext& context) {
  quantized::require(context, {0});
  const DataType type = context.type(0);
  if (!is_max(context.node)) {
    expect_affine(context, 1, 2, type);
    expect_affine(context, 3, 4, type);
  }
  if (!context.has_shape(0)) return context.out(0, type);
  Shape y = context.shape(0);
  if (y.rank() < 3) context.fail("X needs at least three dimensions");
  refuse_many_dims(y.rank() - 2);
  const int first = channels_last(context.node) ? 1 : 2;
  if (is_global(context.node)) {
    for (int i = 0; i < y.rank() - 2; ++i) y[static_cast<size_t>(first + i)] = 1;
    return context.out(0, type, std::move(y));
  }
  try {
    const Window window = Window::parse(context.attributes(), y.rank() - 2, {});
    for (int i = 0; i < window.rank; ++i) {
      const auto axis = static_cast<size_t>(first + i);
      y[axis] = window.output(context.symbols, i, y[axis]);
    }
  } catch (const Error& error) {
    context.fail(error.what());
  }
  context.out(0, type, std::move(y));
}

BytePool read_pool(const OpContext& context) {
  const Shape &x = context.shape(0), &y = context.out(0).shape;
  const int rank = x.rank() - 2;
  refuse_many_dims(rank);
  const bool last = channels_last(context.node);
  const size_t first = last ? 1 : 2;
  BytePool pool;
  pool.channels_last = last || context.in(0).layout == Layout::Nhwc;
  kernels::PoolShape& shape = pool.shape;
  const bool padded = context.attributes().get_int("count_include_pad", 0) != 0;
  shape.kind = is_max(context.node) ? PoolKind::Max : padded ? PoolKind::AveragePadded : PoolKind::Average;
  shape.batch = x[0];
  shape.channels = last ? x.back() : x[1];
  const auto sizes = std::span<const Dim>(x).subspan(first, static_cast<size_t>(rank));
  const bool global = is_global(context.node);
  Window window;
  if (!global) {
    window = Window::parse(context.attributes(), rank, {});
    window.resolve(sizes);
  }
  for (size_t i = 0; i < static_cast<size_t>(rank); ++i) {
    const size_t to = 3 - static_cast<size_t>(rank) + i;
    shape.in[to] = sizes[i];
    shape.out[to] = y[first + i];
    shape.kernel[to] = global ? sizes[i] : window.kernel[i];
    if (global) continue;
    shape.stride[to] = window.stride[i];
    shape.dilation[to] = window.dilation[i];
    shape.pad_begin[to] = window.pad_begin[i];
    shape.pad_end[to] = window.pad_end[i];
  }
  pool.src_signed = quantized::is_signed(context.type(0));
  pool.range = kernels::ByteRange::of(pool.src_signed, 0);
  return pool;
}

Refusal accepts_pool(const OpContext& context) {
  if (context.in(0).layout != context.out(0).layout) return "X and Y in different layouts";
  if (context.in(0).layout != Layout::Plain && channels_last(context.node)) return "the channels are the last axis";
  return {};
}

double cost_pool(const OpContext& context) {
  return kernels::byte_pool_cost(read_pool(context)) / context.options.threads + 300;
}

std::unique_ptr<Kernel> prepare_pool(const OpContext& context) {
  const BytePool pool = read_pool(context);
  if (pool.shape.kind == PoolKind::Max)
    return make_kernel([pool](const KernelArgs& args) {
      kernels::byte_pool(pool, args.in<std::byte>(0), args.out<std::byte>(0), args.parallel);
    });
  const Affine x(context, 1, 2, context.type(0)), y(context, 3, 4, context.type(0));
  return make_kernel([=](const KernelArgs& args) {
    const kernels::ByteScale from = x.read(args), to = y.read(args);
    BytePool run = pool;
    run.src_zero = from.zero;
    run.ratio = from.scale / to.scale;
    run.range = kernels::ByteRange::of(y.is_signed(), to.zero);
    kernels::byte_pool(run, args.in<std::byte>(0), args.out<std::byte>(0), args.parallel);
  });
}

Refusal gpu_pool(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const BytePool pool = read_pool(context);
  gpu::BytePool on_device;
  on_device.shape = pool.shape;
  on_device.is_signed = pool.src_signed;
  if (pool.channels_last) on_device.last_channels = pool.shape.channels;
  if (pool.shape.kind != PoolKind::Max) {
    // The inputs are checked as for the CPU.
    const Affine x(context, 1, 2, context.type(0)), y(context, 3, 4, context.type(0));
    on_device.x_scale = GpuWork::input(1);
    on_device.y_scale = GpuWork::input(3);
    if (context.has_input(2)) on_device.x_zero = GpuWork::input(2);
    if (context.has_input(4)) on_device.y_zero = GpuWork::input(4);
  }
  return gpu::add_byte_pool(on_device, context.out(0).shape.count(), traits, work);
}

constexpr GpuRecipe kGpu{quantized::kBytes, gpu_pool};

constexpr Variant kVariants[] = {{Layout::Nhwc, Layout::Nhwc}, {Layout::Plain, Layout::Plain}};
constexpr Candidate kPool[] = {{.name = "bytes",
                                .accepts = accepts_pool,
                                .prepare = prepare_pool,
                                .variants = kVariants,
                                .cost = cost_pool,
                                .layout_inputs = 1u << 0}};

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr OpDef kOps[] = {
    {.domain = kMicrosoft,
     .name = "QLinearGlobalAveragePool",
     .infer = infer_pool,
     .cpu = kPool,
     .types = quantized::kBytes,
     .gpu = &kGpu},
    {.domain = kMicrosoft,
     .name = "QLinearAveragePool",
     .infer = infer_pool,
     .cpu = kPool,
     .types = quantized::kBytes,
     .gpu = &kGpu},
    {.domain = kMicrosoft,
     .name = "NhwcMaxPool",
     .infer = infer_pool,
     .cpu = kPool,
     .types = quantized::kBytes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> qlinear_pool_ops() { return kOps; }

}  // namespace fastort
