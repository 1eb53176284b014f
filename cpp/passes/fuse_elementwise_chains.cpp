#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "kernels/elementwise/chain.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

using kernels::BinaryOp;
using kernels::UnaryOp;
using kernels::UnaryParams;

constexpr size_t kMaxInputs = 8;

// An elementwise node as a step of a chain.
struct Function {
  int64_t code = 0;
  UnaryParams params;
  bool binary = false;
};

std::optional<Function> unary(Sweep& sweep, const Node& node) {
  const Attributes& attributes = node.attributes;
  auto function = [](UnaryOp op, UnaryParams params = {}) { return Function{kernels::chain_unary(op), params, false}; };
  if (node.op_type == "Clip") {
    const auto low = node.has_input(1) ? sweep.scalar(node.inputs[1]) : std::numeric_limits<float>::lowest();
    const auto high = node.has_input(2) ? sweep.scalar(node.inputs[2]) : std::numeric_limits<float>::max();
    if (!low || !high) return std::nullopt;
    return function(UnaryOp::Clip, {*low, *high});
  }
  if (node.num_inputs() != 1) return std::nullopt;
  if (node.op_type == "LeakyRelu") return function(UnaryOp::LeakyRelu, {attributes.get_float("alpha", 0.01f), 0});
  if (node.op_type == "Elu") return function(UnaryOp::Elu, {attributes.get_float("alpha", 1), 0});
  if (node.op_type == "Swish") return function(UnaryOp::Silu, {attributes.get_float("alpha", 1), 0});
  if (node.op_type == "HardSigmoid")
    return function(UnaryOp::HardSigmoid, {attributes.get_float("alpha", 0.2f), attributes.get_float("beta", 0.5f)});
  if (node.op_type == "Gelu") {
    const std::string form = attributes.get_string("approximate", "none");
    if (form == "none") return function(UnaryOp::Gelu);
    return form == "tanh" ? std::optional(function(UnaryOp::GeluTanh)) : std::nullopt;
  }
  static constexpr std::pair<const char*, UnaryOp> kPlain[] = {
      {"Abs", UnaryOp::Abs},
      {"Neg", UnaryOp::Neg},
      {"Ceil", UnaryOp::Ceil},
      {"Floor", UnaryOp::Floor},
      {"Round", UnaryOp::Round},
      {"Sqrt", UnaryOp::Sqrt},
      {"Reciprocal", UnaryOp::Reciprocal},
      {"Sign", UnaryOp::Sign},
      {"Relu", UnaryOp::Relu},
      {"HardSwish", UnaryOp::HardSwish},
      {"Softsign", UnaryOp::Softsign},
      {"Exp", UnaryOp::Exp},
      {"Log", UnaryOp::Log},
      {"Tanh", UnaryOp::Tanh},
      {"Sigmoid", UnaryOp::Sigmoid},
      {"Erf", UnaryOp::Erf},
      {"Softplus", UnaryOp::Softplus},
      {"Mish", UnaryOp::Mish},
      {"Sin", UnaryOp::Sin},
      {"Cos", UnaryOp::Cos},
  };
  for (const auto& [name, op] : kPlain)
    if (node.op_type == name) return function(op);
  return std::nullopt;
}

std::optional<Function> match_function(Sweep& sweep, const Node& node) {
  if (!node.domain.empty() || node.outputs.size() != 1 || !node.has_input(0)) return std::nullopt;
  if (sweep.type(node.outputs[0]) != DataType::Float || sweep.type(node.inputs[0]) != DataType::Float)
    return std::nullopt;
  static constexpr std::pair<const char*, BinaryOp> kBinary[] = {
      {"Add", BinaryOp::Add}, {"Sub", BinaryOp::Sub}, {"Mul", BinaryOp::Mul}, {"Div", BinaryOp::Div},
      {"Max", BinaryOp::Max}, {"Min", BinaryOp::Min}, {"Pow", BinaryOp::Pow},
  };
  for (const auto& [name, op] : kBinary) {
    if (node.op_type != name) continue;
    if (node.num_inputs() != 2 || !node.has_input(1) || sweep.type(node.inputs[1]) != DataType::Float)
      return std::nullopt;
    return Function{kernels::chain_binary(op), {}, true};
  }
  return unary(sweep, node);
}

struct Link {
  int node;
  Function function;
  size_t main = 0;  // the operand that the link before makes
};

// The links that end in node `index`, the first one in front. Between them are values that only the next one reads, of
// the last one's shape.
std::vector<Link> find_links(Sweep& sweep, int index) {
  std::vector<Link> links;
  auto function = match_function(sweep, sweep.node(index));
  const ValueId out = sweep.node(index).outputs.empty() ? kNoValue : sweep.node(index).outputs[0];
  while (function && static_cast<int>(links.size()) < kernels::kMaxChainSteps) {
    links.push_back({index, *function});
    const Node& node = sweep.node(index);
    function.reset();
    for (size_t k = 0; k < (links.back().function.binary ? 2u : 1u) && !function; ++k) {
      const ValueId id = node.inputs[k];
      const int maker = sweep.single(id) ? sweep.producer_index(id) : -1;
      if (maker < 0 || !sweep.same_shape(id, out)) continue;
      function = match_function(sweep, sweep.node(maker));
      if (!function) continue;
      links.back().main = k;
      index = maker;
    }
  }
  std::reverse(links.begin(), links.end());
  return links;
}

void fuse(Sweep& sweep, const std::vector<Link>& links) {
  Node chain = make_node("ElementwiseChain", {});
  chain.domain = "fastort";
  std::vector<int64_t> program;
  std::vector<float> params;
  auto input = [&](ValueId id) {
    auto at = std::find(chain.inputs.begin(), chain.inputs.end(), id);
    if (at == chain.inputs.end()) at = chain.inputs.insert(chain.inputs.end(), id);
    return kernels::chain_input(static_cast<int>(at - chain.inputs.begin()));
  };
  std::vector<std::string> absorbed;
  for (size_t i = 0; i < links.size(); ++i) {
    const Link& link = links[i];
    const Node& node = sweep.node(link.node);
    auto operand = [&](size_t k) { return i > 0 && k == link.main ? int64_t{0} : input(node.inputs[k]); };
    const int64_t a = operand(0), b = link.function.binary ? operand(1) : -1;
    program.insert(program.end(), {link.function.code, 0, a, b});
    params.insert(params.end(), {link.function.params.a, link.function.params.b});
    if (i + 1 < links.size()) absorbed.push_back(fused_name(node));
  }
  chain.attributes.set("program", std::move(program));
  chain.attributes.set("params", std::move(params));
  sweep.become(links.back().node, std::move(chain), std::move(absorbed));
  for (size_t i = 0; i + 1 < links.size(); ++i) sweep.remove(links[i].node);
}

// How many tensors a chain reads at most.
size_t input_count(std::span<const Link> links) {
  size_t inputs = 1;
  for (const Link& link : links) inputs += link.function.binary ? 1 : 0;
  return inputs;
}

}  // namespace

// Elementwise operators that follow one another run as one pass over the data.
int fuse_elementwise_chains(Graph& graph) {
  Sweep sweep(graph);
  for (int i = sweep.node_count(); i-- > 0;) {
    if (sweep.removed(i)) continue;
    std::vector<Link> links = find_links(sweep, i);
    size_t first = 0;
    while (input_count(std::span<const Link>(links).subspan(first)) > kMaxInputs) ++first;
    links.erase(links.begin(), links.begin() + static_cast<std::ptrdiff_t>(first));
    if (links.size() >= 2) fuse(sweep, links);
  }
  return sweep.finish();
}

}  // namespace fastort
