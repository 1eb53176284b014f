#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

// Whether the node's first output is its first input unchanged, for every shape.
bool is_identity(Sweep& sweep, const Node& node) {
  if (!node.domain.empty() || !node.has_input(0) || !node.has_output(0)) return false;
  const ValueId in = node.inputs[0];
  const ValueId out = node.outputs[0];
  if (node.op_type == "Identity") return true;
  if (node.op_type == "Concat") return node.inputs.size() == 1;
  if (node.op_type == "Dropout") return !node.has_output(1) && !node.has_input(2);
  if (node.op_type == "Cast") return sweep.type(in) != DataType::Undefined && sweep.type(in) == sweep.type(out);
  if (node.op_type == "Reshape" || node.op_type == "Expand" || node.op_type == "Flatten" || node.op_type == "Pad" ||
      node.op_type == "Slice") {
    // Equal concrete-or-symbolic shapes and a movement that cannot reorder elements.
    if (node.op_type == "Slice") return false;
    if (node.op_type == "Pad") {
      const auto pads = node.has_input(1) ? sweep.ints(node.inputs[1]) : std::nullopt;
      if (!pads) return false;
      for (int64_t pad : *pads) {
        if (pad != 0) return false;
      }
      return true;
    }
    return sweep.same_shape(in, out);
  }
  if (node.op_type == "Transpose") {
    const auto perm = node.attributes.get_ints("perm");
    for (size_t i = 0; i < perm.size(); ++i) {
      if (perm[i] != static_cast<int64_t>(i)) return false;
    }
    return !perm.empty();
  }
  return false;
}

}  // namespace

int remove_identities(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (!is_identity(sweep, node)) continue;
    const ValueId in = node.inputs[0];
    const ValueId out = node.outputs[0];
    if (!graph.is_output(out)) {
      sweep.redirect(out, in);
      sweep.remove(i);
      continue;
    }
    // An output keeps its name: the input's producer makes it directly where nobody else wants the input.
    Node* maker = sweep.producer(in);
    if (!maker || !sweep.single(in) || maker->op_type == "Identity") continue;
    for (ValueId& id : maker->outputs) {
      if (id == in) id = out;
    }
    sweep.remove(i);
  }
  return sweep.finish();
}

}  // namespace fastort
