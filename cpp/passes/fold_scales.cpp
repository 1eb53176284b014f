#include <cstring>
#include <optional>

#include "passes/passes.h"
#include "passes/rewrite.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

// One factor for each of `count` columns (a constant [count], or one item), or the reciprocals of a divisor's.
std::optional<std::vector<float>> column_factors(const Graph& graph, ValueId id, int64_t count, bool divide) {
  const Tensor* tensor = graph.constant(id);
  if (!tensor || tensor->type() != DataType::Float || tensor->shape().rank() > 1) return std::nullopt;
  if (tensor->count() != count && tensor->count() != 1) return std::nullopt;
  std::vector<float> factors;
  for (int64_t i = 0; i < count; ++i) {
    const float factor = tensor->data<float>()[tensor->count() == 1 ? 0 : i];
    if (divide && factor == 0) return std::nullopt;
    factors.push_back(divide ? 1 / factor : factor);
  }
  return factors;
}

// The tensor with factors along one axis: 0 or the last one.
Tensor scaled(const Tensor& tensor, const std::vector<float>& factors, bool last_axis) {
  auto compute = [tensor, factors, last_axis] {
    const ReadScope scope;
    Tensor result(DataType::Float, tensor.shape());
    float* const items = result.data<float>();
    if (tensor.count() > 0) std::memcpy(items, tensor.source(), tensor.bytes());
    tensor.give_up();
    const int64_t n = static_cast<int64_t>(factors.size());
    const int64_t inner = last_axis ? 1 : tensor.count() / n;
    for (int64_t i = 0; i < tensor.count(); ++i) items[i] *= factors[static_cast<size_t>(i / inner % n)];
    return result;
  };
  return deferred(DataType::Float, tensor.shape(), std::move(compute));
}

const Tensor* float_constant(const Graph& graph, ValueId id, int rank) {
  const Tensor* tensor = graph.constant(id);
  return tensor && tensor->type() == DataType::Float && tensor->shape().rank() == rank && tensor->count() > 0 ? tensor
                                                                                                              : nullptr;
}

// (x * W + b) * s becomes x * (W * s) + b * s.
bool fold_into_matmul(Sweep& sweep, int index, ValueId product, ValueId factor, bool divide) {
  Graph& graph = sweep.graph();
  if (!sweep.single(product)) return false;
  int maker = sweep.producer_index(product);
  if (maker < 0) return false;
  // A bias between the product and the factor.
  int add = -1;
  size_t bias_at = 0;
  if (sweep.node(maker).op_type == "Add" && sweep.node(maker).domain.empty()) {
    add = maker;
    bias_at = graph.constant(sweep.node(add).inputs[0]) ? 0 : 1;
    const ValueId inner = sweep.node(add).inputs[1 - bias_at];
    maker = sweep.single(inner) ? sweep.producer_index(inner) : -1;
  }
  if (maker < 0 || sweep.node(maker).op_type != "MatMul" || !sweep.node(maker).domain.empty()) return false;
  const Tensor* weight = float_constant(graph, sweep.node(maker).inputs[1], 2);
  if (!weight || sweep.readers(sweep.node(maker).inputs[1]).size() != 1 ||
      !sweep.same_shape(product, sweep.node(index).outputs[0]))
    return false;
  const auto factors = column_factors(graph, factor, weight->shape()[1], divide);
  if (!factors) return false;
  const Tensor* bias = nullptr;
  if (add >= 0) {
    bias = float_constant(graph, sweep.node(add).inputs[bias_at], 1);
    if (!bias || bias->count() != weight->shape()[1]) return false;
    if (!sweep.same_shape(sweep.node(maker).outputs[0], product)) return false;
  }
  Node matmul = make_node("MatMul", {sweep.node(maker).inputs[0], kNoValue});
  matmul.name = sweep.node(maker).name;
  matmul.inputs[1] =
      graph.add_constant(graph.value(sweep.node(maker).inputs[1]).name + "_scaled", scaled(*weight, *factors, true));
  const std::string absorbed = fused_name(sweep.node(index));
  if (bias) {
    const ValueId shift = graph.add_constant(graph.value(sweep.node(add).inputs[bias_at]).name + "_scaled",
                                             scaled(*bias, *factors, true));
    matmul.origin = sweep.node(maker).origin;
    const Node sum = make_node("Add", {sweep.emit(add, std::move(matmul)), shift});
    sweep.become(index, sum, {absorbed});
    sweep.remove(add);
  } else {
    sweep.become(index, std::move(matmul), {absorbed});
  }
  sweep.remove(maker);
  return true;
}

// Conv(x, W, b) * s, with one factor for each channel.
bool fold_into_conv(Sweep& sweep, int index, ValueId product, ValueId factor, bool divide) {
  Graph& graph = sweep.graph();
  const int maker = sweep.single(product) ? sweep.producer_index(product) : -1;
  if (maker < 0 || sweep.node(maker).op_type != "Conv" || !sweep.node(maker).domain.empty()) return false;
  const Node& conv = sweep.node(maker);
  const Tensor* weight = graph.constant(conv.inputs[1]);
  const Tensor* bias = conv.has_input(2) ? graph.constant(conv.inputs[2]) : nullptr;
  if (!weight || weight->type() != DataType::Float || weight->count() == 0) return false;
  if (sweep.readers(conv.inputs[1]).size() != 1) return false;
  if (conv.has_input(2) && (!bias || bias->type() != DataType::Float)) return false;
  if (!sweep.same_shape(product, sweep.node(index).outputs[0])) return false;
  const Tensor* given = graph.constant(factor);
  if (!given || given->type() != DataType::Float) return false;
  // [C,1,1] or [1,C,1,1], or one item.
  const int64_t channels = weight->shape()[0];
  const int channel_axis = given->shape().rank() - (weight->shape().rank() - 1);
  const bool per_channel = given->count() == channels && channel_axis >= 0 && channel_axis <= 1 &&
                           given->shape()[static_cast<size_t>(channel_axis)] == channels;
  if (!per_channel && given->count() != 1) return false;
  std::vector<float> factors;
  for (int64_t c = 0; c < channels; ++c) {
    const float value = given->data<float>()[given->count() == 1 ? 0 : c];
    if (divide && value == 0) return false;
    factors.push_back(divide ? 1 / value : value);
  }
  Node folded = conv;
  const Origin origin = conv.origin;
  folded.origin = {};
  folded.inputs[1] = graph.add_constant(graph.value(conv.inputs[1]).name + "_scaled", scaled(*weight, factors, false));
  if (bias)
    folded.inputs[2] = graph.add_constant(graph.value(conv.inputs[2]).name + "_scaled", scaled(*bias, factors, false));
  const std::string absorbed = fused_name(sweep.node(index));
  sweep.become(index, std::move(folded), {absorbed});
  sweep.node(index).origin.node_name = origin.node_name;
  sweep.node(index).origin.op_type = origin.op_type;
  sweep.remove(maker);
  return true;
}

}  // namespace

// Constant factors behind a Conv or a MatMul with constant weights go into the weights.
int fold_scales(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (sweep.removed(i) || !node.domain.empty() || (node.op_type != "Mul" && node.op_type != "Div")) continue;
    if (sweep.type(node.outputs[0]) != DataType::Float) continue;
    const bool divide = node.op_type == "Div";
    for (size_t k = 0; k < (divide ? 1u : 2u); ++k) {
      const ValueId product = node.inputs[k], factor = node.inputs[1 - k];
      if (!graph.constant(factor)) continue;
      if (fold_into_matmul(sweep, i, product, factor, divide) || fold_into_conv(sweep, i, product, factor, divide))
        break;
    }
  }
  return sweep.finish();
}

}  // namespace fastort
