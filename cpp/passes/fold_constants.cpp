#include <algorithm>

#include "ops/core/evaluate.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

// A result may be this large, or as large as the constants it is made from, whichever is more: folding must not blow up
// a model (ConstantOfShape, Expand, Tile).
constexpr size_t kMaxFoldedBytes = size_t{1} << 20;

bool foldable(const Graph& graph, const Node& node, const OpDef& op, size_t& input_bytes) {
  if (op.flags & (kDynamic | kImpure)) return false;
  if (node.captures) return false;
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (!node.has_input(i)) continue;
    const Tensor* constant = graph.constant(node.inputs[static_cast<size_t>(i)]);
    if (!constant) return false;
    input_bytes += constant->bytes();
  }
  return true;
}

bool small_enough(const Graph& graph, const Node& node, size_t input_bytes) {
  size_t bytes = 0;
  for (ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    const ValueType& type = graph.value(id).type;
    if (!type.is_concrete()) return false;
    const auto count = checked_count(type.shape);
    if (!count) return false;
    bytes += static_cast<size_t>(*count) * element_size(type.element);
  }
  return bytes <= std::max(kMaxFoldedBytes, input_bytes);
}

}  // namespace

int fold_constants(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    const OpDef* op = find_op(node.domain, node.op_type);
    size_t input_bytes = 0;
    if (!op || !foldable(graph, node, *op, input_bytes) || !small_enough(graph, node, input_bytes)) continue;
    // Dequantized weights stay as they are: an integer kernel may take them.
    if (node.op_type == "DequantizeLinear") continue;
    std::vector<Value> inputs(node.inputs.size());
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (node.inputs[k] != kNoValue) inputs[k] = *graph.constant(node.inputs[k]);
    }
    std::vector<Value> results;
    try {
      results = evaluate_node(*op, node, inputs);
    } catch (const Error&) {
      continue;  // the run reports it, should it ever come here
    }
    if (!std::all_of(results.begin(), results.end(), [](const Value& v) { return v.empty() || v.is_tensor(); }))
      continue;
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (node.outputs[k] == kNoValue) continue;
      graph.value(node.outputs[k]).constant = std::make_shared<Tensor>(results[k].tensor());
    }
    sweep.remove(i);
  }
  return sweep.finish();
}

}  // namespace fastort
