#include "ops/gpu/select.h"

#include "ops/core/move.h"
#include "ops/gpu/convert.h"
#include "ops/gpu/nest.h"
#include "ops/gpu/typed.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

// Operands [0, count) of the node as they broadcast to output 0.
Strided node_operands(const OpContext& context, int count) {
  std::vector<Shape> shapes;
  for (int i = 0; i < count; ++i) shapes.push_back(context.shape(i));
  return strided_operands(context.out(0).shape, shapes);
}

Refusal refuse_ranks(const OpContext& context, int count) {
  for (int i = 0; i < count; ++i) {
    if (!context.has_input(i)) return "an input is left out";
    if (context.shape(i).rank() > context.out(0).shape.rank()) return "an operand has a higher rank than the output";
  }
  return std::nullopt;
}

Refusal where_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_ranks(context, 3)) return refusal;
  const size_t bytes = element_size(context.type(1));
  if (context.type(1) != context.type(2)) return "X and Y of different types";
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("where", bytes, traits, shader)) return refusal;
  const Strided strided = node_operands(context, 3);
  const GpuOperand table = work.table(strided.table);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {strided.rank, strided.modes};
  dispatch.operands = {GpuWork::output(0), table, GpuWork::input(0), GpuWork::input(1), GpuWork::input(2)};
  const int64_t count = context.out(0).shape.count();
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

// The number of a type in shaders/cast.comp.
std::optional<uint32_t> cast_code(DataType type) {
  switch (type) {
    case DataType::Float:
      return 0;
    case DataType::Int32:
      return 1;
    case DataType::Int64:
      return 2;
    case DataType::Bool:
      return 3;
    default:
      return std::nullopt;
  }
}

Refusal cast_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const auto from = cast_code(context.type(0)), to = cast_code(context.out(0).type);
  if (!from || !to)
    return add_convert(work,
                       {context.type(0), context.out(0).type, context.out(0).shape.count(), GpuWork::output(0),
                        GpuWork::input(0), context.attributes().get_int("saturate", 1) != 0},
                       traits);
  GpuDispatch& dispatch = work.dispatch("cast");
  dispatch.constants = {0, 0, *from, *to};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  const int64_t count = context.out(0).shape.count();
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kGroup * 4, traits);
  return std::nullopt;
}

Refusal gather_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& data = context.shape(0);
  const size_t item = element_size(context.type(0));
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), data.rank());
  // Known indices are checked here; what the run brings is checked by the shader.
  if (const Tensor* indices = context.constant(1))
    for (int64_t index : to_int64s(*indices))
      static_cast<void>(checked_index("Gather: indices", index, data[static_cast<size_t>(axis)]));
  size_t bytes = item;
  int64_t inner = data.count(axis + 1, data.rank());
  while (bytes < 16 && inner % 2 == 0) {
    bytes *= 2;
    inner /= 2;
  }
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("gather", bytes, traits, shader)) return refusal;
  const int64_t indices = context.shape(1).count();
  const int64_t count = data.count(0, axis) * indices * inner;
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {context.type(1) == DataType::Int64 ? 2u : 1u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1)};
  dispatch.push.u32(count).u32(data[static_cast<size_t>(axis)]).u32(inner).u32(indices);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace

Strided strided_operands(const Shape& result, std::span<const Shape> shapes) {
  Nest nest(result);
  for (const Shape& shape : shapes) nest.add_broadcast(shape);
  nest.merge();
  const size_t count = shapes.size();
  Strided strided;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t mode = nest.is_single(i) ? 0u : nest.is_dense(i) ? 1u : 2u;
    strided.modes |= mode << (2 * i);
    if (mode == 2) strided.rank = static_cast<uint32_t>(nest.rank());
  }
  if (strided.rank == 0) return strided;
  for (const int64_t dim : nest.dims()) strided.table.push_back(static_cast<uint32_t>(dim));
  for (size_t i = 0; i < count; ++i)
    for (const int64_t stride : nest.strides(i)) strided.table.push_back(static_cast<uint32_t>(stride));
  return strided;
}

Refusal add_compare(const OpContext& context, const GpuTraits& traits, GpuWork& work, Compare op) {
  const int operands = op == Compare::Not ? 1 : 2;
  if (Refusal refusal = refuse_ranks(context, operands)) return refusal;
  if (operands == 2 && context.type(0) != context.type(1)) return "operands of different types";
  const bool logic = op >= Compare::And;
  std::string_view shader;
  switch (context.type(0)) {
    case DataType::Float:
      shader = "compare.float";
      break;
    case DataType::Int32:
      shader = "compare.int";
      break;
    case DataType::Int64:
      shader = "compare.int64";
      break;
    case DataType::Bool:
      shader = "compare.bool";
      break;
    default:
      if (Refusal refusal = choose_by_type("compare", context.type(0), traits, shader)) return refusal;
  }
  if (logic && context.type(0) != DataType::Bool) return "logic of other types than bool";
  const Strided strided = node_operands(context, operands);
  const GpuOperand table = work.table(strided.table);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {strided.rank, strided.modes, static_cast<uint32_t>(op)};
  dispatch.operands = {GpuWork::output(0), table, GpuWork::input(0),
                       operands == 2 ? GpuWork::input(1) : GpuWork::none()};
  const int64_t count = context.out(0).shape.count();
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kGroup * 4, traits);
  return std::nullopt;
}

constinit const GpuRecipe kWhere{TypeMask(DataType::Bool), where_work};
constinit const GpuRecipe kCast{kAllTypes, cast_work, true};
constinit const GpuRecipe kGather{kAllTypes, gather_work};

}  // namespace fastort::gpu
