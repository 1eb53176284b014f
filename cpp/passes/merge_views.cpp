#include <algorithm>
#include <numeric>

#include "passes/passes.h"
#include "passes/view.h"

namespace fastort {
namespace {

// A view of what stands before the chain of views that it ends, with a constant shape.
bool merge_reshapes(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const ValueId out = node.outputs[0];
  ValueId source = node.inputs[0];
  std::vector<std::string> absorbed;
  for (const Node* maker = sweep.producer(source); maker && is_reshape(*maker); maker = sweep.producer(source)) {
    absorbed.push_back(fused_name(*maker));
    source = maker->inputs[0];
  }
  const Shape* from = sweep.shape(source);
  const Shape* to = sweep.shape(out);
  if (!from || !to) return false;
  if (*from == *to && !sweep.graph().is_output(out)) {
    sweep.redirect(out, source);
    return true;
  }
  const bool constant = node.op_type != "Reshape" || sweep.graph().constant(node.inputs[1]);
  if (absorbed.empty() && constant) return false;
  auto merged = reshape_node(sweep, source, Shape(*to));
  if (!merged) return false;
  sweep.become(index, *std::move(merged), std::move(absorbed));
  return true;
}

bool merge_transposes(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const ValueId out = node.outputs[0];
  const auto perm = permutation(sweep, node);
  if (!perm) return false;
  ValueId source = node.inputs[0];
  std::vector<int64_t> total = *perm;
  std::vector<std::string> absorbed;
  if (const Node* inner = sweep.producer(source, "Transpose")) {
    const auto first = permutation(sweep, *inner);
    if (!first) return false;
    for (size_t i = 0; i < total.size(); ++i) total[i] = (*first)[static_cast<size_t>((*perm)[i])];
    absorbed.push_back(fused_name(*inner));
    source = inner->inputs[0];
  }
  if (std::is_sorted(total.begin(), total.end()) && !sweep.graph().is_output(out)) {
    sweep.redirect(out, source);
    return true;
  }
  // Where only axes of size 1 move, the memory stays as it is.
  const Shape* from = sweep.shape(source);
  const Shape* to = sweep.shape(out);
  int64_t last = -1;
  bool moves = !from || !to;
  for (int64_t axis : total) {
    if (moves || (*from)[static_cast<size_t>(axis)] == 1) continue;
    moves = axis < last;
    last = axis;
  }
  if (!moves) {
    if (auto reshape = reshape_node(sweep, source, Shape(*to))) {
      sweep.become(index, *std::move(reshape), std::move(absorbed));
      return true;
    }
  }
  if (absorbed.empty()) return false;
  Node merged = make_node("Transpose", {source});
  merged.attributes.set("perm", total);
  sweep.become(index, std::move(merged), std::move(absorbed));
  return true;
}

}  // namespace

// Consecutive reshapes become one with a constant shape, so that the arithmetic behind it is not needed; consecutive
// Transposes become one. What changes nothing disappears.
int merge_views(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (sweep.removed(i) || !node.has_input(0) || graph.constant(node.inputs[0])) continue;
    if (is_reshape(node))
      merge_reshapes(sweep, i);
    else if (node.op_type == "Transpose" && node.domain.empty())
      merge_transposes(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
