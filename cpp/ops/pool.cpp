#include "kernels/pool.h"

#include "kernels/quantized/bytes.h"
#include "kernels/reduce.h"
#include "ops/core/window.h"
#include "ops/gpu/bytes.h"
#include "ops/gpu/rows.h"
#include "ops/pool/roi.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

using kernels::PoolKind;
using kernels::PoolShape;

bool is_global(const Node& node) { return node.op_type.starts_with("Global"); }

PoolKind kind_of(const Node& node) {
  const std::string& op = node.op_type;
  if (op.ends_with("MaxPool")) return PoolKind::Max;
  if (op.ends_with("LpPool")) return PoolKind::Lp;
  return node.attributes.get_int("count_include_pad", 0) != 0 ? PoolKind::AveragePadded : PoolKind::Average;
}

// ---- inference -----------------------------------------------------------------------------------------------------

void refuse_many_dims(int rank) {
  if (rank > 3) not_implemented("pooling over " + std::to_string(rank) + " spatial dimensions; three are the most");
}

void infer_pool(InferContext& context) {
  const DataType type = context.type(0);
  const bool indices = context.num_outputs() > 1;
  if (!context.has_shape(0)) {
    context.out(0, type);
    if (indices) context.out(1, DataType::Int64);
    return;
  }
  const Shape& x = context.shape(0);
  if (x.rank() < 3) context.fail("X needs at least three dimensions [N,C,...]");
  refuse_many_dims(x.rank() - 2);
  Shape y = x;
  try {
    const Window window = Window::parse(context.attributes(), x.rank() - 2, {});
    for (int i = 0; i < window.rank; ++i) {
      const auto axis = static_cast<size_t>(i + 2);
      y[axis] = window.output(context.symbols, i, x[axis]);
    }
  } catch (const Error& error) {
    context.fail(error.what());
  }
  if (indices) context.out(1, DataType::Int64, y);
  context.out(0, type, std::move(y));
}

void infer_global(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape y = context.shape(0);
  if (y.rank() < 3) context.fail("X needs at least three dimensions [N,C,...]");
  for (size_t i = 2; i < y.size(); ++i) y[i] = 1;
  context.out(0, context.type(0), std::move(y));
}

// ---- candidates ----------------------------------------------------------------------------------------------------

PoolShape read_shape(const OpContext& context) {
  const Shape &x = context.shape(0), &y = context.out(0).shape;
  const int rank = x.rank() - 2;
  refuse_many_dims(rank);
  PoolShape shape;
  shape.kind = kind_of(context.node);
  shape.p = context.attributes().get_int("p", 2);
  if (shape.p < 1) context.fail("attribute p is " + std::to_string(shape.p) + ", at least 1 is needed");
  shape.batch = x[0];
  shape.channels = x[1];
  const bool global = is_global(context.node);
  Window window;
  if (!global) {
    window = Window::parse(context.attributes(), rank, {});
    window.resolve(std::span<const Dim>(x).subspan(2));
  }
  for (int i = 0; i < rank; ++i) {
    const auto from = static_cast<size_t>(i), to = static_cast<size_t>(3 - rank + i);
    shape.in[to] = x[from + 2];
    shape.out[to] = y[from + 2];
    shape.kernel[to] = global ? x[from + 2] : window.kernel[from];
    if (global) continue;
    shape.stride[to] = window.stride[from];
    shape.dilation[to] = window.dilation[from];
    shape.pad_begin[to] = window.pad_begin[from];
    shape.pad_end[to] = window.pad_end[from];
  }
  return shape;
}

Refusal accepts_vector(const OpContext& context) {
  if (context.type(0) != DataType::Float) return "only float32";
  if (context.in(0).layout != context.out(0).layout) return "X and Y in different layouts";
  if (context.has_output(1)) return "indices are asked for";
  const PoolShape shape = read_shape(context);
  if (shape.kind == PoolKind::Lp) return "no p-norm";
  if (shape.batch == 0 || shape.channels == 0 || shape.in_pixels() == 0 || shape.out_pixels() == 0)
    return "a dimension is zero";
  for (size_t i = 0; i < 3; ++i) {
    const int64_t extent = shape.dilation[i] * (shape.kernel[i] - 1) + 1;
    // Its maximum is minus infinity, which must not get into the padded channels.
    if (shape.pad_begin[i] >= extent || shape.pad_end[i] >= extent) return "a window may lie in the padding alone";
    if (shape.pad_begin[i] < 0 || shape.pad_end[i] < 0) return "negative pads";
  }
  return {};
}

double bytes_moved(const OpContext& context) {
  return 4.0 * static_cast<double>(physical_count(context.shape(0), context.in(0).layout) +
                                   physical_count(context.out(0).shape, context.out(0).layout));
}

double cost_vector(const OpContext& context) {
  const PoolShape shape = read_shape(context);
  const double taps = static_cast<double>(context.out(0).shape.count()) * static_cast<double>(shape.taps());
  return taps / (8.0 * context.options.threads) + bytes_moved(context) / 20 + 300;
}

std::unique_ptr<Kernel> prepare_vector(const OpContext& context) {
  return make_kernel([shape = read_shape(context), layout = context.in(0).layout](const KernelArgs& args) {
    kernels::pool_vector(shape, layout, args.in<float>(0), args.out<float>(0), args.parallel);
  });
}

Refusal accepts_global(const OpContext& context) {
  if (!is_global(context.node)) return "only for global pooling";
  return accepts_vector(context);
}

double cost_global(const OpContext& context) { return bytes_moved(context) / 20 + 300; }

std::unique_ptr<Kernel> prepare_global(const OpContext& context) {
  return make_kernel([shape = read_shape(context)](const KernelArgs& args) {
    kernels::pool_global(shape, args.in<float>(0), args.out<float>(0), args.parallel);
  });
}

Refusal accepts_bytes(const OpContext& context) {
  if (context.type(0) != DataType::Int8 && context.type(0) != DataType::UInt8) return "only bytes";
  if (context.in(0).layout != context.out(0).layout) return "X and Y in different layouts";
  if (context.has_output(1)) return "indices are asked for";
  return {};
}

kernels::BytePool read_byte_pool(const OpContext& context) {
  kernels::BytePool pool;
  pool.shape = read_shape(context);
  pool.channels_last = context.in(0).layout == Layout::Nhwc;
  pool.src_signed = context.type(0) == DataType::Int8;
  pool.range = kernels::ByteRange::of(pool.src_signed, 0);
  return pool;
}

double cost_bytes(const OpContext& context) {
  return kernels::byte_pool_cost(read_byte_pool(context)) / context.options.threads + 300;
}

std::unique_ptr<Kernel> prepare_bytes(const OpContext& context) {
  return make_kernel([pool = read_byte_pool(context)](const KernelArgs& args) {
    kernels::byte_pool(pool, args.in<std::byte>(0), args.out<std::byte>(0), args.parallel);
  });
}

double cost_reference(const OpContext& context) {
  const PoolShape shape = read_shape(context);
  return static_cast<double>(context.out(0).shape.count()) * static_cast<double>(shape.taps()) /
             context.options.threads +
         300;
}

template <class T>
std::unique_ptr<Kernel> make_reference(const OpContext& context) {
  const bool column_major = context.attributes().get_int("storage_order", 0) != 0;
  return make_kernel(
      [shape = read_shape(context), column_major, indices = context.has_output(1)](const KernelArgs& args) {
        kernels::pool(shape, args.in<T>(0), args.out<T>(0), indices ? args.out<int64_t>(1) : nullptr, column_major,
                      args.parallel);
      });
}

std::unique_ptr<Kernel> prepare_reference(const OpContext& context) {
  return with_type(Joined<FloatList, TypeList<int8_t, uint8_t>>{}, "pooling", context.type(0),
                   [&]<class T>(std::type_identity<T>) { return make_reference<T>(context); });
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const PoolShape shape = read_shape(context);
  const bool indices = context.has_output(1);
  const bool column_major = context.attributes().get_int("storage_order", 0) != 0;
  if (context.type(0) == DataType::Int8 || context.type(0) == DataType::UInt8) {
    gpu::BytePool pool;
    pool.shape = shape;
    pool.is_signed = context.type(0) == DataType::Int8;
    if (indices) pool.indices = GpuWork::output(1);
    pool.column_major = column_major;
    return gpu::add_byte_pool(pool, context.out(0).shape.count(), traits, work);
  }
  if (is_global(context.node) && shape.kind != PoolKind::Lp) {
    // Reductions of planes: a maximum or a mean.
    const gpu::Rows rows{shape.batch * shape.channels, shape.in_pixels(), 1};
    const auto op = shape.kind == PoolKind::Max ? kernels::ReduceOp::Max : kernels::ReduceOp::Mean;
    gpu::add_rows(work, "reduce", rows, {static_cast<uint32_t>(op)}, {GpuWork::output(0), GpuWork::input(0)}, traits);
    return std::nullopt;
  }
  GpuDispatch& dispatch = work.dispatch("pool");
  dispatch.constants = {static_cast<uint32_t>(shape.kind), !indices ? 0u : column_major ? 2u : 1u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), indices ? GpuWork::output(1) : GpuWork::none()};
  const int64_t count = context.out(0).shape.count();
  dispatch.push.u32(count);
  for (const auto* sizes : {&shape.in, &shape.out, &shape.kernel, &shape.stride, &shape.dilation, &shape.pad_begin})
    for (const int64_t size : *sizes) dispatch.push.i32(size);
  for (size_t i = 0; i < 3; ++i) dispatch.push.i32(shape.in[i] + shape.pad_end[i]);
  dispatch.push.f32(static_cast<float>(shape.p));
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}

constexpr GpuRecipe kGpu{kFloat32, gpu_work};
constexpr GpuRecipe kGpuMax{kFloat32 | TypeMask{DataType::Int8, DataType::UInt8}, gpu_work};

constexpr Variant kVectorVariants[] = {
    {Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}, {Layout::Nhwc, Layout::Nhwc}};

constexpr Variant kByteVariants[] = {{Layout::Nhwc, Layout::Nhwc}, {Layout::Plain, Layout::Plain}};
constexpr Candidate kMaxCandidates[] = {
    {"vector", accepts_vector, prepare_vector, kVectorVariants, cost_vector, 1u},
    {"bytes", accepts_bytes, prepare_bytes, kByteVariants, cost_bytes, 1u},
    {"reference", nullptr, prepare_reference, kPlainOnly, cost_reference, 1u},
};
constexpr Candidate kCandidates[] = {
    {"vector", accepts_vector, prepare_vector, kVectorVariants, cost_vector, 1u},
    {"global", accepts_global, prepare_global, kPlainOnly, cost_global, 1u},
    {"reference", nullptr, prepare_reference, kPlainOnly, cost_reference, 1u},
};

constexpr Candidate kRoiPool[] = {{"reference", nullptr, prepare_max_roi_pool}};
constexpr Candidate kUnpool[] = {{"reference", nullptr, prepare_max_unpool}};

constexpr TypeMask kMaxTypes = kFloatTypes | TypeMask(DataType::Int8, DataType::UInt8);

constexpr OpDef kOps[] = {
    {.domain = "", .name = "MaxPool", .infer = infer_pool, .cpu = kMaxCandidates, .types = kMaxTypes, .gpu = &kGpuMax},
    {.domain = "", .name = "AveragePool", .infer = infer_pool, .cpu = kCandidates, .types = kFloatTypes, .gpu = &kGpu},
    {.domain = "", .name = "LpPool", .infer = infer_pool, .cpu = kCandidates, .types = kFloatTypes, .gpu = &kGpu},
    {.domain = "",
     .name = "GlobalMaxPool",
     .infer = infer_global,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "",
     .name = "GlobalAveragePool",
     .infer = infer_global,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "",
     .name = "GlobalLpPool",
     .infer = infer_global,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "", .name = "MaxRoiPool", .infer = infer_max_roi_pool, .cpu = kRoiPool, .types = kFloatTypes},
    {.domain = "",
     .name = "MaxUnpool",
     .infer = infer_max_unpool,
     .cpu = kUnpool,
     .types = kFloatTypes,
     .value_inputs = 1u << 2,
     .gpu = &kGpuMaxUnpool},
};

}  // namespace

std::span<const OpDef> pool_ops() { return kOps; }

}  // namespace fastort
