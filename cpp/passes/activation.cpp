#include "passes/activation.h"

#include <limits>

namespace fastort {

std::optional<FusibleActivation> match_activation(Sweep& sweep, const Node& node) {
  if (!node.domain.empty() || !node.has_input(0)) return std::nullopt;
  const std::string& op = node.op_type;
  if (op == "Relu" || op == "Sigmoid" || op == "Tanh" || op == "HardSwish") return FusibleActivation{op, {}};
  if (op == "LeakyRelu") return FusibleActivation{op, {node.attributes.get_float("alpha", 0.01f)}};
  if (op == "HardSigmoid") {
    return FusibleActivation{op, {node.attributes.get_float("alpha", 0.2f), node.attributes.get_float("beta", 0.5f)}};
  }
  if (op == "Swish" && node.attributes.get_float("alpha", 1.0f) == 1.0f) return FusibleActivation{"Silu", {}};
  if (op == "Gelu") {
    const std::string form = node.attributes.get_string("approximate", "none");
    if (form == "none") return FusibleActivation{"Gelu", {}};
    return form == "tanh" ? std::optional(FusibleActivation{"GeluTanh", {}}) : std::nullopt;
  }
  if (op == "Clip") {
    const auto low = node.has_input(1) ? sweep.scalar(node.inputs[1]) : std::numeric_limits<float>::lowest();
    const auto high = node.has_input(2) ? sweep.scalar(node.inputs[2]) : std::numeric_limits<float>::max();
    if (!low || !high) return std::nullopt;
    return FusibleActivation{"Clip", {*low, *high}};
  }
  return std::nullopt;
}

}  // namespace fastort
