#include "ops/gpu/index.h"

#include "ops/gpu/move.h"
#include "ops/gpu/nest.h"
#include "ops/gpu/typed.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

uint32_t index_words(DataType type) { return type == DataType::Int64 ? 2 : 1; }

void append(std::vector<uint32_t>& table, std::span<const int64_t> numbers) {
  for (const int64_t number : numbers) table.push_back(static_cast<uint32_t>(number));
}

GpuOperand tuple_table(GpuWork& work, const kernels::TupleSlices& slices) {
  std::vector<uint32_t> table;
  append(table, slices.sizes);
  append(table, slices.strides);
  return work.table(std::move(table));
}

// The result is the data first.
Refusal copy_data(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const kernels::StridedCopy copy(context.type(0), Shape{context.shape(0).count()}, {1}, {1});
  return add_copy(work, copy, GpuWork::input(0), GpuWork::output(0), traits);
}

Refusal choose_scatter(std::string_view file, const OpContext& context, const GpuTraits& traits,
                       kernels::Reduction reduction, std::string_view& shader) {
  if (reduction == kernels::Reduction::None)
    return choose_by_width(file, element_size(context.type(0)), traits, shader);
  if (context.type(0) == DataType::Bool) return "a reduction of bool";
  return choose_by_type(file, context.type(0), traits, shader);
}

// Steps one after the other that are worth atomic operations.
constexpr int64_t kManySteps = 64;

// How updates that may meet in one place are made: side by side, one after the other along a line, or side by side by
// atomic operations, whose order is no order.
enum class Meeting : uint8_t { Apart, InOrder, Atomic };
Meeting meeting(const OpContext& context, kernels::Reduction reduction, int64_t steps) {
  using kernels::Reduction;
  const DataType type = context.type(0);
  if (reduction == Reduction::None) return context.options.deterministic ? Meeting::InOrder : Meeting::Apart;
  const bool rounds = type == DataType::Float && (reduction == Reduction::Add || reduction == Reduction::Mul);
  const bool words = type == DataType::Float || type == DataType::Int32 || type == DataType::UInt32;
  const bool atomic = words && steps >= kManySteps && !(rounds && context.options.deterministic);
  return atomic ? Meeting::Atomic : Meeting::InOrder;
}

}  // namespace

Refusal add_gather_elements(const OpContext& context, const GpuTraits& traits, GpuWork& work, int axis) {
  const Shape &data = context.shape(0), &indices = context.shape(1);
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("gather_elements", element_size(context.type(0)), traits, shader))
    return refusal;
  std::vector<int64_t> strides = dense_strides(data);
  const int64_t stride = strides[static_cast<size_t>(axis)];
  strides[static_cast<size_t>(axis)] = 0;
  std::vector<uint32_t> words;
  append(words, indices);
  append(words, strides);
  const GpuOperand table = work.table(std::move(words));
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {index_words(context.type(1)), static_cast<uint32_t>(data.rank())};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1), table};
  dispatch.push.u32(indices.count()).u32(data[static_cast<size_t>(axis)]).u32(stride);
  dispatch.groups = groups_for(indices.count(), kGroup, traits);
  return std::nullopt;
}

Refusal add_gather_nd(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                      const kernels::TupleSlices& slices) {
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("gather_nd", element_size(slices.type), traits, shader)) return refusal;
  const int64_t count = slices.tuples * slices.inner;
  const GpuOperand table = tuple_table(work, slices);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {index_words(context.type(1)), static_cast<uint32_t>(slices.sizes.size())};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1), table};
  dispatch.push.u32(count).u32(slices.inner).u32(slices.tuples_per_batch).u32(slices.batch_stride);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

Refusal add_scatter_elements(const OpContext& context, const GpuTraits& traits, GpuWork& work, int axis,
                             kernels::Reduction reduction) {
  const Shape &data = context.shape(0), &updates = context.shape(2);
  const auto at = static_cast<size_t>(axis);
  std::string_view shader;
  if (Refusal refusal = choose_scatter("scatter_elements", context, traits, reduction, shader)) return refusal;
  if (Refusal refusal = copy_data(context, traits, work)) return refusal;
  if (updates.count() == 0) return std::nullopt;
  // An invocation for each update, or for each line of them along the axis.
  Shape items = updates;
  int64_t steps = 1;
  const Meeting how = meeting(context, reduction, items[at]);
  if (how == Meeting::InOrder) std::swap(items[at], steps);
  const std::vector<int64_t> from = dense_strides(updates);
  std::vector<int64_t> to = dense_strides(data);
  const int64_t stride = to[at];
  to[at] = 0;
  std::vector<uint32_t> words;
  append(words, items);
  append(words, from);
  append(words, to);
  const GpuOperand table = work.table(std::move(words));
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {index_words(context.type(1)), static_cast<uint32_t>(data.rank()),
                        static_cast<uint32_t>(reduction), how == Meeting::Atomic ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(2), GpuWork::input(1), table};
  dispatch.push.u32(items.count()).u32(steps).u32(data[at]).u32(from[at]).u32(stride);
  dispatch.groups = groups_for(items.count(), kGroup, traits);
  return std::nullopt;
}

Refusal add_scatter_nd(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                       const kernels::TupleSlices& slices, kernels::Reduction reduction) {
  std::string_view shader;
  if (Refusal refusal = choose_scatter("scatter_nd", context, traits, reduction, shader)) return refusal;
  if (Refusal refusal = copy_data(context, traits, work)) return refusal;
  if (context.shape(2).count() == 0) return std::nullopt;
  const Meeting how = meeting(context, reduction, slices.tuples);
  const int64_t steps = how == Meeting::InOrder ? slices.tuples : 1;
  const int64_t count = slices.tuples / steps * slices.inner;
  const GpuOperand table = tuple_table(work, slices);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {index_words(context.type(1)), static_cast<uint32_t>(slices.sizes.size()),
                        static_cast<uint32_t>(reduction), how == Meeting::Atomic ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(2), GpuWork::input(1), table};
  dispatch.push.u32(count).u32(steps).u32(slices.inner);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
