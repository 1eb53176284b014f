#include <algorithm>
#include <array>
#include <optional>

#include "ops/core/evaluate.h"
#include "passes/passes.h"
#include "passes/view.h"

namespace fastort {
namespace {

// Elementwise operators, of all their inputs.
bool is_elementwise(const Node& node) {
  static constexpr std::array kOps = {"Abs",     "Add",  "Clip",     "Cast",        "Div",       "Elu",
                                      "Erf",     "Exp",  "Gelu",     "HardSigmoid", "HardSwish", "LeakyRelu",
                                      "Log",     "Mish", "Mul",      "Neg",         "Pow",       "Relu",
                                      "Sigmoid", "Sqrt", "Softplus", "Sub",         "Swish",     "Tanh"};
  return node.domain.empty() && node.outputs.size() == 1 &&
         std::find(kOps.begin(), kOps.end(), node.op_type) != kOps.end();
}

// A constant operand for the elementwise node once it stands in front of the Transpose: its axes the other way round.
ValueId untranspose(Sweep& sweep, ValueId id, const std::vector<int64_t>& perm) {
  Graph& graph = sweep.graph();
  const Tensor* constant = graph.constant(id);
  if (!constant) return kNoValue;
  if (constant->count() == 1 && constant->shape().rank() <= static_cast<int>(perm.size())) return id;
  const size_t rank = perm.size(), own = constant->shape().size();
  if (own > rank) return kNoValue;
  Shape padded(rank, 1);
  for (size_t d = 0; d < own; ++d) padded[rank - own + d] = constant->shape()[d];
  Node back = make_node("Transpose", {0});
  back.outputs = {0};
  std::vector<int64_t> inverse(rank);
  for (size_t i = 0; i < rank; ++i) inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  back.attributes.set("perm", inverse);
  const Value input(constant->reshaped(padded));
  const std::vector<Value> results = evaluate_node(*find_op("", "Transpose"), back, std::span<const Value>(&input, 1));
  Tensor moved = results[0].tensor();
  Shape shape = moved.shape();
  while (shape.rank() > 1 && shape[0] == 1) shape.erase(0);
  return graph.add_constant(graph.value(id).name + "_moved", moved.reshaped(shape));
}

// f(Transpose(a), Transpose(b), constant) becomes Transpose(f(a, b, constant')), where that is no more Transposes.
bool sink(Sweep& sweep, int index) {
  const Node node = sweep.node(index);
  std::vector<int64_t> perm;
  bool saves_one = false;
  std::string absorbed;
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (!node.has_input(i)) continue;
    const ValueId id = node.inputs[static_cast<size_t>(i)];
    if (sweep.graph().constant(id)) continue;
    const Node* transpose = sweep.producer(id, "Transpose");
    const auto own = transpose ? permutation(sweep, *transpose) : std::nullopt;
    if (!own || (!perm.empty() && *own != perm)) return false;
    perm = *own;
    // A Transpose that is read twice by this node alone goes as well.
    const auto& readers = sweep.readers(id);
    if (std::all_of(readers.begin(), readers.end(), [&](int reader) { return reader == index; })) saves_one = true;
  }
  if (perm.empty() || !saves_one || perm.size() < 2) return false;
  Node moved = node;
  moved.outputs.clear();
  moved.origin = {};
  moved.origin.op_type = node.origin.op_type;
  moved.origin.node_name = node.origin.node_name;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    if (id == kNoValue) continue;
    const Node* transpose = sweep.producer(id, "Transpose");
    moved.inputs[i] = transpose ? transpose->inputs[0] : untranspose(sweep, id, perm);
    if (moved.inputs[i] == kNoValue) return false;
  }
  Node last = make_node("Transpose", {sweep.emit(index, std::move(moved))});
  last.attributes.set("perm", perm);
  sweep.become(index, std::move(last), {});
  return true;
}

}  // namespace

// Transposes move behind elementwise operators, where they meet others that undo them.
int move_transposes(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (!sweep.removed(i) && is_elementwise(sweep.node(i))) sink(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
