#include "passes/quantized.h"

#include "ops/core/evaluate.h"
#include "ops/quantized/params.h"

namespace fastort {
namespace {

bool is_linear(const Node& node, std::string_view op_type) {
  return node.op_type == op_type && (node.domain.empty() || node.domain == "com.microsoft");
}

// The parameters among a node's inputs 1 and 2, of `count` items each (0: any number); bytes are of `type`.
bool read_parameters(const Sweep& sweep, const Node& node, DataType type, int64_t count, Quantized& found) {
  if (!quantized::kBytes.has(type) || node.attributes.get_int("block_size", 0) != 0) return false;
  const Graph& graph = sweep.graph();
  const Tensor* scale = graph.constant(node.inputs[1]);
  if (!scale || scale->type() != DataType::Float || (scale->count() != 1 && scale->count() != count)) return false;
  for (float item : scale->span<float>())
    if (!(item > 0)) return false;
  found.type = type;
  found.scale_id = node.inputs[1];
  found.scale = *scale->data<float>();
  if (!node.has_input(2)) return true;
  const Tensor* zero = graph.constant(node.inputs[2]);
  if (!zero || zero->type() != type || zero->count() != scale->count()) return false;
  found.zero_id = node.inputs[2];
  found.zero_point = kernels::read_byte(*zero->raw(), quantized::is_signed(type));
  return true;
}

}  // namespace

ValueId Quantized::zero(Graph& graph) const {
  if (zero_id != kNoValue) return zero_id;
  Tensor zero(type, Shape{});
  *zero.raw() = std::byte{0};
  return graph.add_constant(graph.value(scale_id).name + "_zero", std::move(zero));
}

std::optional<Quantized> find_quantized(Sweep& sweep, ValueId id) {
  const Node* node = sweep.producer(id);
  if (!node || !is_linear(*node, "DequantizeLinear") || sweep.type(id) != DataType::Float) return std::nullopt;
  Quantized found;
  found.source = node->inputs[0];
  if (!read_parameters(sweep, *node, sweep.type(found.source), 1, found)) return std::nullopt;
  return found;
}

std::optional<Quantized> find_quantized_weights(Sweep& sweep, ValueId id, int axis) {
  const Node* node = sweep.producer(id);
  if (!node || !is_linear(*node, "DequantizeLinear") || sweep.type(id) != DataType::Float) return std::nullopt;
  Quantized found;
  found.source = node->inputs[0];
  const Tensor* bytes = sweep.graph().constant(found.source);
  if (!bytes || bytes->shape().rank() < 2) return std::nullopt;
  const int rank = bytes->shape().rank();
  const int along = axis < 0 ? axis + rank : axis;
  if (along < 0 || along >= rank) return std::nullopt;
  if (!read_parameters(sweep, *node, bytes->type(), bytes->shape()[static_cast<size_t>(along)], found))
    return std::nullopt;
  if (sweep.graph().constant(found.scale_id)->count() == 1) return found;
  const int64_t given = node->attributes.get_int("axis", 1);
  if (given != along && given + rank != along) return std::nullopt;
  return found;
}

std::optional<Quantized> find_quantization(const Sweep& sweep, const Node& node) {
  if (!is_linear(node, "QuantizeLinear") || sweep.type(node.inputs[0]) != DataType::Float) return std::nullopt;
  Quantized found;
  found.source = node.outputs[0];
  if (!read_parameters(sweep, node, sweep.type(found.source), 1, found)) return std::nullopt;
  return found;
}

std::optional<Tensor> constant_floats(Sweep& sweep, ValueId id) {
  const Graph& graph = sweep.graph();
  if (const Tensor* constant = graph.constant(id))
    return constant->type() == DataType::Float ? std::optional(*constant) : std::nullopt;
  const Node* node = sweep.producer(id);
  if (!node || !is_linear(*node, "DequantizeLinear") || sweep.type(id) != DataType::Float) return std::nullopt;
  std::vector<Value> inputs(node->inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (node->inputs[i] == kNoValue) continue;
    const Tensor* constant = graph.constant(node->inputs[i]);
    if (!constant) return std::nullopt;
    inputs[i] = *constant;
  }
  try {
    return evaluate_node(*find_op(node->domain, node->op_type), *node, inputs)[0].tensor();
  } catch (const Error&) {
    return std::nullopt;  // the run reports it
  }
}

}  // namespace fastort
