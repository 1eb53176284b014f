#include <algorithm>

#include "kernels/move/element.h"
#include "kernels/move/index.h"
#include "ops/core/move.h"
#include "ops/gpu/index.h"
#include "ops/gpu/move.h"
#include "ops/gpu/select.h"
#include "ops/gpu/typed.h"

namespace fastort {
namespace {

using kernels::Indices;

void require_index_type(const InferContext& context, int i) {
  const DataType type = context.type(i);
  if (type != DataType::Int32 && type != DataType::Int64 && type != DataType::Undefined)
    context.fail("indices must be int32 or int64");
}

// ---- Gather --------------------------------------------------------------------------------------------------------

void infer_gather(InferContext& context) {
  require_index_type(context, 1);
  if (!context.has_shape(0) || !context.has_shape(1)) return context.out(0, context.type(0));
  const Shape &data = context.shape(0), &indices = context.shape(1);
  const int axis = normalize_axis(context, context.attributes().get_int("axis", 0), data.rank());
  Shape shape;
  for (int i = 0; i < axis; ++i) shape.push_back(data[static_cast<size_t>(i)]);
  for (Dim dim : indices) shape.push_back(dim);
  for (int i = axis + 1; i < data.rank(); ++i) shape.push_back(data[static_cast<size_t>(i)]);
  context.out(0, context.type(0), shape);
  if (data.rank() != 1 || indices.rank() > 1) return;
  const auto items = context.dims(0);
  const auto chosen = items ? context.ints(1) : std::nullopt;
  if (!chosen) return;
  Shape dims;
  const auto size = static_cast<int64_t>(items->size());
  for (int64_t index : *chosen)
    dims.push_back((*items)[static_cast<size_t>(checked_index("Gather: indices", index, size))]);
  context.out_dims(0, dims);
}

std::unique_ptr<Kernel> prepare_gather(const OpContext& context) {
  const Shape& data = context.shape(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), data.rank());
  const kernels::GatherRows rows{context.type(0), data.count(0, axis), data[static_cast<size_t>(axis)],
                                 data.count(axis + 1, data.rank()), context.shape(1).count()};
  return make_kernel([rows, index_type = context.type(1)](const KernelArgs& args) {
    rows.run(args.pointers[0], Indices("Gather", index_type, args.pointers[1]), args.pointers[args.num_inputs],
             args.parallel);
  });
}

// ---- GatherElements ------------------------------------------------------------------------------------------------

// Indices of GatherElements and ScatterElements reach into the data at their own place in all dimensions but one.
void check_elements(const OpContext& context, int axis) {
  const Shape &data = context.shape(0), &indices = context.shape(1);
  if (data.rank() != indices.rank())
    context.fail("data " + to_string(data) + " and indices " + to_string(indices) + " have different ranks");
  for (int i = 0; i < data.rank(); ++i) {
    const auto d = static_cast<size_t>(i);
    if (i != axis && indices[d] > data[d])
      context.fail("indices " + to_string(indices) + " are larger than data " + to_string(data) + " on axis " +
                   std::to_string(i));
  }
}

void infer_gather_elements(InferContext& context) {
  require_index_type(context, 1);
  if (context.has_shape(0)) normalize_axis(context, context.attributes().get_int("axis", 0), context.shape(0).rank());
  if (!context.has_shape(1)) return context.out(0, context.type(0));
  context.out(0, context.type(0), context.shape(1));
}

std::unique_ptr<Kernel> prepare_gather_elements(const OpContext& context) {
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), context.shape(0).rank());
  check_elements(context, axis);
  const kernels::GatherElements gather{context.type(0), context.shape(0), context.shape(1), axis};
  return make_kernel([gather, index_type = context.type(1)](const KernelArgs& args) {
    gather.run(args.pointers[0], Indices("GatherElements", index_type, args.pointers[1]),
               args.pointers[args.num_inputs], args.parallel);
  });
}

// ---- GatherND ------------------------------------------------------------------------------------------------------

void infer_gather_nd(InferContext& context) {
  require_index_type(context, 1);
  if (!context.has_shape(0) || !context.has_shape(1)) return context.out(0, context.type(0));
  const Shape &data = context.shape(0), &indices = context.shape(1);
  const int64_t batch = context.attributes().get_int("batch_dims", 0);
  if (indices.empty() || data.empty()) context.fail("data and indices must have at least one dimension");
  if (batch < 0 || batch >= std::min(data.rank(), indices.rank()))
    context.fail("batch_dims " + std::to_string(batch) + " must be below both ranks");
  if (!is_known(indices.back())) return context.out(0, context.type(0));
  const int64_t taken = batch + indices.back();
  if (taken > data.rank())
    context.fail("the indices' last dimension of " + to_string(indices) + " is longer than data " + to_string(data) +
                 " has dimensions");
  Shape shape(std::span<const Dim>(indices.data(), indices.size() - 1));
  for (int64_t i = taken; i < data.rank(); ++i) shape.push_back(data[static_cast<size_t>(i)]);
  context.out(0, context.type(0), shape);
}

// `batch` leading dimensions are shared, the next ones are indexed by tuples.
kernels::TupleSlices tuple_slices(DataType type, const Shape& data, const Shape& indices, int batch) {
  const int taken = batch + static_cast<int>(indices.back());
  kernels::TupleSlices slices{
      type, indices.count(0, indices.rank() - 1), 1, data.count(batch, data.rank()), data.count(taken, data.rank()), {},
      {}};
  slices.tuples_per_batch = std::max<int64_t>(1, indices.count(batch, indices.rank() - 1));
  const kernels::Strides strides = kernels::strides_of(data);
  for (int i = batch; i < taken; ++i) {
    slices.sizes.push_back(data[static_cast<size_t>(i)]);
    slices.strides.push_back(strides[static_cast<size_t>(i)]);
  }
  return slices;
}

kernels::TupleSlices gathered_slices(const OpContext& context) {
  const Shape &data = context.shape(0), &indices = context.shape(1);
  const int batch = static_cast<int>(context.attributes().get_int("batch_dims", 0));
  for (int i = 0; i < batch; ++i)
    if (data[static_cast<size_t>(i)] != indices[static_cast<size_t>(i)])
      context.fail("data " + to_string(data) + " and indices " + to_string(indices) +
                   " differ in their batch dimensions");
  return tuple_slices(context.type(0), data, indices, batch);
}

std::unique_ptr<Kernel> prepare_gather_nd(const OpContext& context) {
  const auto slices = gathered_slices(context);
  return make_kernel([slices, index_type = context.type(1)](const KernelArgs& args) {
    slices.gather(args.pointers[0], Indices("GatherND", index_type, args.pointers[1]), args.pointers[args.num_inputs],
                  args.parallel);
  });
}

// ---- ScatterElements, ScatterND ------------------------------------------------------------------------------------

kernels::Reduction reduction_of(const Node& node) {
  const std::string reduction = node.attributes.get_string("reduction", "none");
  if (reduction == "none") return kernels::Reduction::None;
  if (reduction == "add") return kernels::Reduction::Add;
  if (reduction == "mul") return kernels::Reduction::Mul;
  if (reduction == "max") return kernels::Reduction::Max;
  if (reduction == "min") return kernels::Reduction::Min;
  invalid_graph("reduction must be none, add, mul, max or min, not '" + reduction + "'");
}

void infer_scatter(InferContext& context) {
  require_index_type(context, 1);
  const kernels::Reduction reduction = reduction_of(context.node);
  const bool ordered = reduction == kernels::Reduction::Max || reduction == kernels::Reduction::Min;
  if (ordered) require_types(context, kNumericTypes | TypeMask{DataType::Bool}, "the larger or smaller of two");
  if (reduction != kernels::Reduction::None) require_types(context, kSummed, "a reduction");
  infer_same(context);
}

kernels::StridedCopy whole_copy(const OpContext& context) {
  return kernels::StridedCopy(context.type(0), Shape{context.shape(0).count()}, {1}, {1});
}

int scattered_axis(const OpContext& context) {
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), context.shape(0).rank());
  check_elements(context, axis);
  if (!(context.shape(1) == context.shape(2)))
    context.fail("indices " + to_string(context.shape(1)) + " and updates " + to_string(context.shape(2)) +
                 " differ in shape");
  return axis;
}

std::unique_ptr<Kernel> prepare_scatter_elements(const OpContext& context) {
  const Shape data = context.shape(0), updates = context.shape(2);
  const int axis = scattered_axis(context);
  return make_kernel([=, copy = whole_copy(context), reduction = reduction_of(context.node), type = context.type(0),
                      index_type = context.type(1)](const KernelArgs& args) {
    std::byte* dst = args.pointers[args.num_inputs];
    copy.run(args.pointers[0], dst, args.parallel);
    kernels::scatter_elements(type, reduction, data, updates, axis,
                              Indices("ScatterElements", index_type, args.pointers[1]), args.pointers[2], dst);
  });
}

kernels::TupleSlices scattered_slices(const OpContext& context) {
  const Shape &data = context.shape(0), &indices = context.shape(1), &updates = context.shape(2);
  if (indices.empty() || indices.back() > data.rank())
    context.fail("indices " + to_string(indices) + " do not index data " + to_string(data));
  Shape expected(std::span<const Dim>(indices.data(), indices.size() - 1));
  for (auto i = static_cast<size_t>(indices.back()); i < data.size(); ++i) expected.push_back(data[i]);
  if (!(expected == updates))
    context.fail("updates " + to_string(updates) + " must have the shape " + to_string(expected));
  return tuple_slices(context.type(0), data, indices, 0);
}

std::unique_ptr<Kernel> prepare_scatter_nd(const OpContext& context) {
  const auto slices = scattered_slices(context);
  return make_kernel([slices, copy = whole_copy(context), reduction = reduction_of(context.node),
                      index_type = context.type(1)](const KernelArgs& args) {
    std::byte* dst = args.pointers[args.num_inputs];
    copy.run(args.pointers[0], dst, args.parallel);
    kernels::scatter_tuples(slices, reduction, Indices("ScatterND", index_type, args.pointers[1]), args.pointers[2],
                            dst);
  });
}

// ---- TensorScatter -------------------------------------------------------------------------------------------------

struct CacheUpdate {
  int64_t outer, per_batch, inner, size, steps;
  bool has_indices, circular;
};

CacheUpdate cache_update(const OpContext& context) {
  const Shape &cache = context.shape(0), &update = context.shape(1);
  const std::string mode = context.attributes().get_string("mode", "linear");
  if (mode != "linear" && mode != "circular") context.fail("mode '" + mode + "' is neither linear nor circular");
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", -2), cache.rank());
  if (axis == 0) context.fail("axis must not be the batch");
  if (update.rank() != cache.rank()) context.fail("past_cache and update have different ranks");
  for (int i = 0; i < cache.rank(); ++i) {
    const auto d = static_cast<size_t>(i);
    if (i == axis ? update[d] > cache[d] : update[d] != cache[d])
      context.fail("update " + to_string(update) + " does not fit into past_cache " + to_string(cache));
  }
  const bool has_indices = context.has_input(2), circular = mode == "circular";
  if (has_indices && (context.type(2) != DataType::Int64 || context.shape(2).count() != cache[0]))
    context.fail("write_indices must hold one int64 for each batch item");
  const auto at = static_cast<size_t>(axis);
  return {cache.count(0, axis),
          cache.count(1, axis),
          cache.count(axis + 1, cache.rank()),
          cache[at],
          update[at],
          has_indices,
          circular};
}

std::unique_ptr<Kernel> prepare_tensor_scatter(const OpContext& context) {
  auto typed = [&]<class T>(std::type_identity<T>) -> std::unique_ptr<Kernel> {
    return make_kernel([form = cache_update(context), copy = whole_copy(context)](const KernelArgs& args) {
      const auto [outer, per_batch, inner, size, steps, has_indices, circular] = form;
      copy.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel);
      const T* src = args.in<T>(1);
      T* dst = args.out<T>(0);
      for (int64_t o = 0; o < outer; ++o) {
        const int64_t first = has_indices ? args.in<int64_t>(2)[o / per_batch] : 0;
        if (first < 0 || (!circular && first > size - steps))
          invalid_argument("TensorScatter: write_indices holds " + std::to_string(first) + ", outside [0, " +
                           std::to_string(size - steps) + "]");
        for (int64_t step = 0; step < steps; ++step) {
          const int64_t at = circular ? (first % size + step) % size : first + step;
          kernels::copy_run(src + (o * steps + step) * inner, dst + (o * size + at) * inner, inner);
        }
      }
    });
  };
  return kernels::with_element(context.type(0), typed);
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

Refusal gpu_gather_elements(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), context.shape(0).rank());
  check_elements(context, axis);
  return gpu::add_gather_elements(context, traits, work, axis);
}

Refusal gpu_gather_nd(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return gpu::add_gather_nd(context, traits, work, gathered_slices(context));
}

Refusal gpu_scatter_elements(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return gpu::add_scatter_elements(context, traits, work, scattered_axis(context), reduction_of(context.node));
}

Refusal gpu_scatter_nd(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return gpu::add_scatter_nd(context, traits, work, scattered_slices(context), reduction_of(context.node));
}

Refusal gpu_tensor_scatter(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const CacheUpdate form = cache_update(context);
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_bytes("tensor_scatter", element_size(context.type(0)), traits, shader))
    return refusal;
  const kernels::StridedCopy copy(context.type(0), Shape{context.shape(0).count()}, {1}, {1});
  if (Refusal refusal = gpu::add_copy(work, copy, GpuWork::input(0), GpuWork::output(0), traits)) return refusal;
  const int64_t count = context.shape(1).count();
  if (count == 0) return std::nullopt;
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {form.has_indices ? 1u : 0u, form.circular ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(1), form.has_indices ? GpuWork::input(2) : GpuWork::none()};
  dispatch.push.u32(count).u32(form.steps).u32(form.size).u32(form.inner).u32(form.per_batch);
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}

constexpr GpuRecipe kGpuTensorScatter{kAllTypes, gpu_tensor_scatter};
constexpr GpuRecipe kGpuGatherElements{kAllTypes, gpu_gather_elements};
constexpr GpuRecipe kGpuGatherND{kAllTypes, gpu_gather_nd};
constexpr GpuRecipe kGpuScatterElements{kAllTypes, gpu_scatter_elements, true};
constexpr GpuRecipe kGpuScatterND{kAllTypes, gpu_scatter_nd, true};

constexpr Candidate kGather[] = {{"rows", nullptr, prepare_gather}};
constexpr Candidate kGatherElements[] = {{"elements", nullptr, prepare_gather_elements}};
constexpr Candidate kGatherND[] = {{"slices", nullptr, prepare_gather_nd}};
constexpr Candidate kScatterElements[] = {{"elements", nullptr, prepare_scatter_elements}};
constexpr Candidate kScatterND[] = {{"slices", nullptr, prepare_scatter_nd}};
constexpr Candidate kTensorScatter[] = {{"rows", nullptr, prepare_tensor_scatter}};

}  // namespace

std::span<const OpDef> gather_ops() {
  static const OpDef kOps[] = {
      {"", "Gather", infer_gather, kGather, kAllTypes, kNone, 0, &gpu::kGather},
      {"", "GatherElements", infer_gather_elements, kGatherElements, kAllTypes, kNone, 0, &kGpuGatherElements},
      {"", "GatherND", infer_gather_nd, kGatherND, kAllTypes, kNone, 0, &kGpuGatherND},
      {"", "Scatter", infer_scatter, kScatterElements, kAllTypes, kNone, 0, &kGpuScatterElements},
      {"", "ScatterElements", infer_scatter, kScatterElements, kAllTypes, kNone, 0, &kGpuScatterElements},
      {"", "ScatterND", infer_scatter, kScatterND, kAllTypes, kNone, 0, &kGpuScatterND},
      {"", "TensorScatter", infer_same, kTensorScatter, kAllTypes, kNone, 0, &kGpuTensorScatter},
  };
  return kOps;
}

}  // namespace fastort
