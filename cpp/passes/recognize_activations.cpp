#include <cmath>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

Node unary(std::string op_type, ValueId input) {
  Node node;
  node.op_type = std::move(op_type);
  node.inputs = {input};
  return node;
}

// A node `op` whose one operand is the scalar `value`; gives the other operand.
ValueId with_scalar(Sweep& sweep, ValueId id, std::string_view op, float value) {
  const Node* node = sweep.producer(id, op);
  if (!node || node->num_inputs() != 2 || !sweep.single(id)) return kNoValue;
  if (sweep.is_scalar(node->inputs[1], value)) return node->inputs[0];
  const bool commutes = op == "Add" || op == "Mul";
  return commutes && sweep.is_scalar(node->inputs[0], value) ? node->inputs[1] : kNoValue;
}

// x * Sigmoid(x), x * HardSigmoid(x), x * Clip(x + 3, 0, 6) / 6 and x * Tanh(Softplus(x)).
bool self_gated(Sweep& sweep, int index) {
  const Node& mul = sweep.node(index);
  for (int k = 0; k < 2; ++k) {
    const ValueId gate = mul.inputs[static_cast<size_t>(k)];
    const ValueId x = mul.inputs[static_cast<size_t>(1 - k)];
    if (!sweep.single(gate)) continue;
    const int gate_index = sweep.producer_index(gate);
    if (gate_index < 0) continue;
    const Node& maker = sweep.node(gate_index);
    if (!maker.domain.empty() || !maker.has_input(0)) continue;
    if (maker.op_type == "Sigmoid" && maker.inputs[0] == x) {
      const std::string absorbed = fused_name(maker);
      sweep.become(index, unary("Swish", x), {absorbed});
      sweep.remove(gate_index);
      return true;
    }
    if (maker.op_type == "HardSigmoid" && maker.inputs[0] == x &&
        std::fabs(maker.attributes.get_float("alpha", 0.2f) - 1.0f / 6) < 1e-6f &&
        maker.attributes.get_float("beta", 0.5f) == 0.5f) {
      const std::string absorbed = fused_name(maker);
      sweep.become(index, unary("HardSwish", x), {absorbed});
      sweep.remove(gate_index);
      return true;
    }
    if (maker.op_type == "Tanh" && sweep.single(maker.inputs[0])) {
      const int inner_index = sweep.producer_index(maker.inputs[0]);
      if (inner_index < 0) continue;
      const Node& inner = sweep.node(inner_index);
      if (inner.op_type != "Softplus" || !inner.domain.empty() || inner.inputs[0] != x) continue;
      const std::vector<std::string> absorbed = {fused_name(maker), fused_name(inner)};
      sweep.become(index, unary("Mish", x), absorbed);
      sweep.remove(gate_index);
      sweep.remove(inner_index);
      return true;
    }
  }
  return false;
}

// Clip(x + 3, 0, 6): gives x.
ValueId clipped_plus_three(Sweep& sweep, ValueId id) {
  const Node* clip = sweep.producer(id, "Clip");
  if (!clip || !sweep.single(id) || !clip->has_input(1) || !clip->has_input(2)) return kNoValue;
  if (!sweep.is_scalar(clip->inputs[1], 0) || !sweep.is_scalar(clip->inputs[2], 6)) return kNoValue;
  return with_scalar(sweep, clip->inputs[0], "Add", 3);
}

// Removes the chain of single-reader nodes above `id` down to (not including) the one that makes `stop`.
void remove_chain(Sweep& sweep, ValueId id, ValueId stop, std::vector<std::string>& absorbed) {
  const int index = id == stop ? -1 : sweep.producer_index(id);
  if (index < 0) return;
  const Node& node = sweep.node(index);
  absorbed.push_back(fused_name(node));
  const std::vector<ValueId> inputs = node.inputs;
  sweep.remove(index);
  for (ValueId input : inputs) {
    if (input != kNoValue && input != stop && sweep.single(input)) remove_chain(sweep, input, stop, absorbed);
  }
}

// Makes `index` the activation `op` of `x`, and everything between them disappear.
void replace(Sweep& sweep, int index, Node activation, ValueId x) {
  std::vector<std::string> absorbed;
  const std::vector<ValueId> inputs = sweep.node(index).inputs;
  for (ValueId input : inputs) {
    if (input != x && sweep.single(input)) remove_chain(sweep, input, x, absorbed);
  }
  sweep.become(index, std::move(activation), std::move(absorbed));
}

// x * Clip(x + 3, 0, 6) / 6, with the division or a multiplication by 1/6 at the end or inside.
bool hard_swish(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const bool last_divides = (node.op_type == "Div" && sweep.is_scalar(node.inputs[1], 6)) ||
                            (node.op_type == "Mul" && (sweep.is_scalar(node.inputs[1], 1.0f / 6)));
  if (last_divides) {
    const Node* mul = sweep.producer(node.inputs[0], "Mul");
    if (!mul || !sweep.single(node.inputs[0])) return false;
    for (size_t k = 0; k < 2; ++k) {
      const ValueId x = clipped_plus_three(sweep, mul->inputs[k]);
      if (x == kNoValue || x != mul->inputs[1 - k]) continue;
      replace(sweep, index, unary("HardSwish", x), x);
      return true;
    }
    return false;
  }
  if (node.op_type != "Mul") return false;
  for (size_t k = 0; k < 2; ++k) {
    const Node* div = sweep.producer(node.inputs[k], "Div");
    if (!div || !sweep.single(node.inputs[k]) || !sweep.is_scalar(div->inputs[1], 6)) continue;
    const ValueId x = clipped_plus_three(sweep, div->inputs[0]);
    if (x == kNoValue || x != node.inputs[1 - k]) continue;
    replace(sweep, index, unary("HardSwish", x), x);
    return true;
  }
  return false;
}

// Factors of a product of two or three, with the single-reader products between them opened.
void factors(Sweep& sweep, ValueId id, int depth, std::vector<ValueId>& out) {
  const Node* mul = depth > 0 && sweep.single(id) ? sweep.producer(id, "Mul") : nullptr;
  if (!mul) {
    out.push_back(id);
    return;
  }
  factors(sweep, mul->inputs[0], depth - 1, out);
  factors(sweep, mul->inputs[1], depth - 1, out);
}

// 1 + Erf(x / sqrt(2)): gives x.
ValueId erf_term(Sweep& sweep, ValueId id) {
  const ValueId erf_out = with_scalar(sweep, id, "Add", 1);
  if (erf_out == kNoValue || !sweep.single(erf_out)) return kNoValue;
  const Node* erf = sweep.producer(erf_out, "Erf");
  if (!erf) return kNoValue;
  const ValueId by_division = with_scalar(sweep, erf->inputs[0], "Div", std::sqrt(2.0f));
  return by_division != kNoValue ? by_division : with_scalar(sweep, erf->inputs[0], "Mul", std::sqrt(0.5f));
}

// x^3 as Pow(x, 3) or x * x * x: gives x.
ValueId cubed(Sweep& sweep, ValueId id) {
  if (!sweep.single(id)) return kNoValue;
  if (const Node* pow = sweep.producer(id, "Pow"))
    return sweep.is_scalar(pow->inputs[1], 3) ? pow->inputs[0] : kNoValue;
  std::vector<ValueId> items;
  factors(sweep, id, 2, items);
  return items.size() == 3 && items[0] == items[1] && items[1] == items[2] ? items[0] : kNoValue;
}

// 1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)): gives x.
ValueId tanh_term(Sweep& sweep, ValueId id) {
  const ValueId tanh_out = with_scalar(sweep, id, "Add", 1);
  if (tanh_out == kNoValue || !sweep.single(tanh_out)) return kNoValue;
  const Node* tanh = sweep.producer(tanh_out, "Tanh");
  if (!tanh) return kNoValue;
  const ValueId sum = with_scalar(sweep, tanh->inputs[0], "Mul", std::sqrt(2.0f / 3.14159265f));
  const Node* add = sum == kNoValue || !sweep.single(sum) ? nullptr : sweep.producer(sum, "Add");
  if (!add) return kNoValue;
  for (size_t k = 0; k < 2; ++k) {
    const ValueId cube = with_scalar(sweep, add->inputs[k], "Mul", 0.044715f);
    if (cube == kNoValue) continue;
    const ValueId x = cubed(sweep, cube);
    if (x != kNoValue && x == add->inputs[1 - k]) return x;
  }
  return kNoValue;
}

// 0.5 * x * (1 + Erf(x / sqrt 2)) and the tanh form, with the factors in any order.
bool gelu(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  std::vector<ValueId> items;
  factors(sweep, node.inputs[0], 1, items);
  factors(sweep, node.inputs[1], 1, items);
  if (items.size() != 3) return false;
  for (size_t k = 0; k < 3; ++k) {
    const bool by_erf = erf_term(sweep, items[k]) != kNoValue;
    const ValueId x = by_erf ? erf_term(sweep, items[k]) : tanh_term(sweep, items[k]);
    if (x == kNoValue) continue;
    const ValueId a = items[(k + 1) % 3], b = items[(k + 2) % 3];
    const bool fits = (a == x && sweep.is_scalar(b, 0.5f)) || (b == x && sweep.is_scalar(a, 0.5f));
    if (!fits) continue;
    Node activation = unary("Gelu", x);
    if (!by_erf) activation.attributes.set("approximate", std::string("tanh"));
    replace(sweep, index, std::move(activation), x);
    return true;
  }
  return false;
}

}  // namespace

// Activations that exporters write as several nodes: Swish (SiLU), HardSwish, Mish, Gelu.
int recognize_activations(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (sweep.removed(i)) continue;
    const Node& node = sweep.node(i);
    if (!node.domain.empty() || (node.op_type != "Mul" && node.op_type != "Div")) continue;
    const DataType type = sweep.type(node.outputs[0]);
    if (type != DataType::Float && type != DataType::Float16 && type != DataType::Double) continue;
    if (node.op_type == "Mul" && (self_gated(sweep, i) || gelu(sweep, i))) continue;
    hard_swish(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
