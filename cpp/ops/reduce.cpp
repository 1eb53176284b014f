#include "kernels/reduce.h"

#include "ops/gpu/move.h"
#include "ops/gpu/rows.h"
#include "ops/gpu/typed.h"

namespace fastort {
namespace {

using kernels::ReduceDims;
using kernels::ReduceOp;

constexpr uint32_t kAxesValue = 1u << 1;

// Whether each dimension is reduced; nothing where the axes are not known.
std::optional<InlineVector<uint8_t, 8>> reduced_axes(const InferContext& context, int rank) {
  InlineVector<uint8_t, 8> reduce(static_cast<size_t>(rank), 0);
  std::optional<InlineVector<int64_t, 8>> axes;
  if (context.has_input(1)) {
    axes = context.ints(1);
    if (!axes) return std::nullopt;
  }
  if (!axes || axes->empty()) {
    if (context.attributes().get_int("noop_with_empty_axes", 0) == 0) std::fill(reduce.begin(), reduce.end(), 1);
    return reduce;
  }
  for (int64_t axis : *axes) reduce[static_cast<size_t>(normalize_axis(context, axis, rank))] = 1;
  return reduce;
}

InlineVector<uint8_t, 8> reduced_axes(const OpContext& context) {
  const int rank = context.shape(0).rank();
  InlineVector<uint8_t, 8> reduce(static_cast<size_t>(rank), 0);
  const InlineVector<int64_t, 8> axes = context.has_input(1) ? context.ints(1) : InlineVector<int64_t, 8>();
  if (axes.empty() && context.attributes().get_int("noop_with_empty_axes", 0) == 0)
    std::fill(reduce.begin(), reduce.end(), 1);
  for (int64_t axis : axes) reduce[static_cast<size_t>(normalize_axis(context.node, axis, rank))] = 1;
  return reduce;
}

void infer_reduce(InferContext& context) {
  if (context.has_input(1) && context.type(1) != DataType::Int64) context.fail("axes must be int64");
  const DataType type = context.type(0);
  if (!context.has_shape(0)) return context.out(0, type);
  const Shape& shape = context.shape(0);
  const bool keepdims = context.attributes().get_int("keepdims", 1) != 0;
  const auto reduce = reduced_axes(context, shape.rank());
  Shape out;
  if (!reduce) {
    if (!keepdims) return context.out(0, type);
    for (int d = 0; d < shape.rank(); ++d) out.push_back(context.unknown());
    return context.out(0, type, std::move(out));
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!(*reduce)[d])
      out.push_back(shape[d]);
    else if (keepdims)
      out.push_back(1);
  }
  context.out(0, type, std::move(out));
  // The number of elements of a shape stays known.
  const std::optional<Shape> dims = context.dims(0);
  if (!dims || context.node.op_type != "ReduceProd" || shape.rank() != 1 || !(*reduce)[0]) return;
  Dim product = 1;
  for (Dim dim : *dims) product = context.symbols.mul(product, dim);
  context.out_dims(0, Shape{product});
}

std::unique_ptr<Kernel> make_vector_reduce(ReduceOp op, const ReduceDims& dims) {
  return make_kernel(
      [=](const KernelArgs& args) {
        kernels::reduce_f32(op, dims, args.in<float>(0), args.out<float>(0), args.workspace, args.parallel);
      },
      kernels::reduce_workspace(op, dims));
}

// ---- float32 in vectors -------------------------------------------------------------------------------------------

template <ReduceOp op>
Refusal refuse_vectors(const OpContext& context) {
  if (context.type(0) != DataType::Float) return "another type than float";
  if (!kernels::reduces_in_vectors(op, ReduceDims::of(context.shape(0), reduced_axes(context))))
    return "several runs of reduced dimensions";
  return std::nullopt;
}

template <ReduceOp op>
std::unique_ptr<Kernel> prepare_vectors(const OpContext& context) {
  return make_vector_reduce(op, ReduceDims::of(context.shape(0), reduced_axes(context)));
}

// ---- all spatial dimensions of a blocked or channels-last tensor --------------------------------------------------

template <ReduceOp op>
Refusal refuse_spatial(const OpContext& context) {
  const TensorDesc& in = context.in(0);
  const TensorDesc& out = context.out(0);
  if (in.type != DataType::Float) return "another type than float";
  if (in.layout == Layout::Plain) return "the plain layout";
  const InlineVector<uint8_t, 8> reduce = reduced_axes(context);
  for (size_t d = 0; d < reduce.size(); ++d)
    if ((reduce[d] != 0) != (d >= 2)) return "reduces other than the spatial dimensions";
  if (in.shape.count(2, in.shape.rank()) == 0) return "an empty reduction";
  // Without the spatial dimensions the result is plain: the same memory where blocks are full.
  const bool full = in.shape[1] % channel_block(in.layout) == 0;
  if (out.layout != in.layout && !(out.shape.rank() < 3 && full)) return "input and output in different layouts";
  return std::nullopt;
}

// A pass over the input; as a cost that is named, it stands beside the plain layout.
double cost_spatial(const OpContext& context) {
  constexpr double kBandwidth = 20;
  return 4.0 * static_cast<double>(context.shape(0).count()) / kBandwidth + 300;
}

template <ReduceOp op>
std::unique_ptr<Kernel> prepare_spatial(const OpContext& context) {
  const TensorDesc& in = context.in(0);
  const bool nhwc = in.layout == Layout::Nhwc;
  const int64_t block = nhwc ? in.shape[1] : channel_block(in.layout);
  const int64_t outer = nhwc ? in.shape[0] : in.shape[0] * ((in.shape[1] + block - 1) / block);
  const Shape physical{outer, in.shape.count(2, in.shape.rank()), block};
  const uint8_t reduce[] = {0, 1, 0};
  return make_vector_reduce(op, ReduceDims::of(physical, reduce));
}

// ---- any type -----------------------------------------------------------------------------------------------------

template <ReduceOp op>
std::unique_ptr<Kernel> prepare_any(const OpContext& context) {
  const kernels::ReduceFn reduce = kernels::reduce_any(op, context.type(0));
  if (!reduce) context.fail("is not defined for " + std::string(name(context.type(0))));
  const ReduceDims dims = ReduceDims::of(context.shape(0), reduced_axes(context));
  return make_kernel(
      [=](const KernelArgs& args) { reduce(dims, args.in<std::byte>(0), args.out<std::byte>(0), args.parallel); });
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

Refusal refuse_type(ReduceOp op, DataType type, int64_t n) {
  if (type == DataType::Float) return std::nullopt;
  const bool real = type == DataType::Double;
  if (op == ReduceOp::LogSum || op == ReduceOp::LogSumExp || (op == ReduceOp::L2 && !real))
    return "no shader for " + std::string(name(type));
  // The sum must fit the shader's number.
  if (op == ReduceOp::Mean && !real && element_size(type) < 8 && (element_size(type) == 4 || n > 32768))
    return "a mean of many " + std::string(name(type));
  if (type == DataType::Bool && op != ReduceOp::Max && op != ReduceOp::Min) return "no shader for bool";
  if (type == DataType::Bool && n == 0) return "an empty reduction of bool";
  return std::nullopt;
}

// [outer, n, inner] where one run of dimensions is reduced. Others are brought into that form by a copy in which the
// reduced dimensions come last.
template <ReduceOp op>
Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const DataType type = context.type(0);
  const ReduceDims dims = ReduceDims::of(context.shape(0), reduced_axes(context));
  if (Refusal refusal = refuse_type(op, type, dims.reduced)) return refusal;
  std::string_view shader = "reduce";
  if (type != DataType::Float)
    if (Refusal refusal = gpu::choose_by_type("reduce_typed", type, traits, shader)) return refusal;
  gpu::Rows rows;
  size_t runs = 0;
  for (size_t i = 0; i < dims.sizes.size(); ++i) {
    if (dims.is_reduced(i)) {
      ++runs;
      rows.n = dims.sizes[i];
    } else {
      (runs == 0 ? rows.outer : rows.inner) = dims.sizes[i];
    }
  }
  GpuOperand source = GpuWork::input(0);
  if (runs > 1 && context.shape(0).count() > 0) {
    Shape shape, order;
    for (const int64_t size : dims.sizes) shape.push_back(size);
    const kernels::Strides strides = kernels::strides_of(shape);
    kernels::Strides from;
    for (const bool reduced : {false, true}) {
      for (size_t i = 0; i < dims.sizes.size(); ++i) {
        if (dims.is_reduced(i) != reduced) continue;
        order.push_back(dims.sizes[i]);
        from.push_back(strides[i]);
      }
    }
    source = work.scratch(static_cast<size_t>(shape.count()) * element_size(type));
    const kernels::StridedCopy copy(type, order, from, kernels::strides_of(order));
    if (Refusal refusal = gpu::add_copy(work, copy, GpuWork::input(0), GpuWork::written(source), traits))
      return refusal;
  }
  if (runs > 1) rows = {dims.kept, dims.reduced, 1};
  gpu::add_rows(work, shader, rows, {static_cast<uint32_t>(op)}, {GpuWork::output(0), source}, traits);
  return std::nullopt;
}
constexpr TypeMask kGpuNumbers = kIntTypes | TypeMask{DataType::Float, DataType::Double};
template <ReduceOp op>
constexpr GpuRecipe kGpu{op == ReduceOp::LogSum || op == ReduceOp::LogSumExp ? kFloat32
                         : op == ReduceOp::L2                         ? TypeMask{DataType::Float, DataType::Double}
                         : op == ReduceOp::Max || op == ReduceOp::Min ? kGpuNumbers | TypeMask{DataType::Bool}
                                                                      : kGpuNumbers,
                         gpu_work<op>, true};

constexpr Variant kBlockedOnly[] = {{Layout::C8, Layout::C8}, {Layout::C16, Layout::C16}, {Layout::Nhwc, Layout::Nhwc}};

// 0 stays 0 under these, so the padding of blocked layouts stays zero.
template <ReduceOp op>
constexpr Candidate kBlocked[] = {
    {"vectors", refuse_vectors<op>, prepare_vectors<op>},
    {"spatial", refuse_spatial<op>, prepare_spatial<op>, kBlockedOnly, cost_spatial, 1u},
    {"reference", nullptr, prepare_any<op>},
};
template <ReduceOp op>
constexpr Candidate kPlain[] = {
    {"vectors", refuse_vectors<op>, prepare_vectors<op>},
    {"reference", nullptr, prepare_any<op>},
};

constexpr TypeMask kExtremeTypes = kNumericTypes | TypeMask(DataType::Bool);

constexpr OpDef kOps[] = {
    {"", "ReduceSum", infer_reduce, kBlocked<ReduceOp::Sum>, kNumericTypes, kNone, kAxesValue, &kGpu<ReduceOp::Sum>},
    {"", "ReduceMean", infer_reduce, kBlocked<ReduceOp::Mean>, kNumericTypes, kNone, kAxesValue, &kGpu<ReduceOp::Mean>},
    {"", "ReduceMax", infer_reduce, kBlocked<ReduceOp::Max>, kExtremeTypes, kNone, kAxesValue, &kGpu<ReduceOp::Max>},
    {"", "ReduceMin", infer_reduce, kBlocked<ReduceOp::Min>, kExtremeTypes, kNone, kAxesValue, &kGpu<ReduceOp::Min>},
    {"", "ReduceProd", infer_reduce, kBlocked<ReduceOp::Prod>, kNumericTypes, kNone, kAxesValue, &kGpu<ReduceOp::Prod>},
    {"", "ReduceL1", infer_reduce, kBlocked<ReduceOp::L1>, kNumericTypes, kNone, kAxesValue, &kGpu<ReduceOp::L1>},
    {"", "ReduceL2", infer_reduce, kBlocked<ReduceOp::L2>, kNumericTypes, kNone, kAxesValue, &kGpu<ReduceOp::L2>},
    {"", "ReduceSumSquare", infer_reduce, kBlocked<ReduceOp::SumSquare>, kNumericTypes, kNone, kAxesValue,
     &kGpu<ReduceOp::SumSquare>},
    {"", "ReduceLogSum", infer_reduce, kPlain<ReduceOp::LogSum>, kNumericTypes, kNone, kAxesValue,
     &kGpu<ReduceOp::LogSum>},
    {"", "ReduceLogSumExp", infer_reduce, kPlain<ReduceOp::LogSumExp>, kNumericTypes, kNone, kAxesValue,
     &kGpu<ReduceOp::LogSumExp>},
};

}  // namespace

std::span<const OpDef> reduce_ops() { return kOps; }

}  // namespace fastort
