#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ops/core/evaluate.h"
#include "ops/quantized/params.h"
#include "passes/passes.h"
#include "passes/quantized.h"

namespace fastort {
namespace {

// What stands between a group's operator and its QuantizeLinear.
struct Activation {
  int node = -1;
  std::string name;
  std::vector<float> params;
};

// A constant that is left out stands for `fallback`.
std::optional<float> bound(const Sweep& sweep, const Node& clip, int input, float fallback) {
  return clip.has_input(input) ? sweep.scalar(clip.inputs[static_cast<size_t>(input)]) : std::optional(fallback);
}

// One DequantizeLinear -> operator -> QuantizeLinear group, while it is looked at.
class Group {
 public:
  Group(Sweep& sweep, int index, Quantized y) : sweep_(sweep), graph_(sweep.graph()), index_(index), y_(y) {}

  bool fuse() {
    const ValueId value = sweep_.node(index_).inputs[0];
    if (const auto x = find_quantized(sweep_, value)) return requantize(*x);
    if (!sweep_.single(value)) return false;
    op_index_ = sweep_.producer_index(value);
    if (op_index_ < 0) return false;
    take_activation();
    const Node& node = sweep_.node(op_index_);
    if (!node.domain.empty() || node.outputs.size() != 1) return false;
    const std::string& op = node.op_type;
    if (op == "Conv") return fuse_conv(node);
    if (op == "Gemm") return fuse_gemm(node);
    if (op == "Add") return fuse_binary(node, "fastort");
    if (op == "MatMul") return fuse_matmul(node);
    if (op == "Mul") return fuse_binary(node, "com.microsoft") || fuse_table();
    if (op == "GlobalAveragePool" || op == "AveragePool") return fuse_average(node);
    if (op == "Softmax") return fuse_softmax(node);
    if (op == "Concat") return fuse_concat(node);
    if (is_movement(node)) return move(node);
    return fuse_table();
  }

 private:
  // Relu or Clip with constant bounds in front of the QuantizeLinear becomes part of the group's bounds.
  void take_activation() {
    const Node& node = sweep_.node(op_index_);
    if (!node.domain.empty() || !node.has_input(0) || !sweep_.single(node.inputs[0])) return;
    const int before = sweep_.producer_index(node.inputs[0]);
    if (before < 0) return;
    Activation found{op_index_, node.op_type, {}};
    if (node.op_type == "Clip") {
      const auto low = bound(sweep_, node, 1, std::numeric_limits<float>::lowest());
      const auto high = bound(sweep_, node, 2, std::numeric_limits<float>::max());
      if (!low || !high) return;
      found.params = {*low, *high};
    } else if (node.op_type != "Relu") {
      return;
    }
    const std::string& op = sweep_.node(before).op_type;
    if (op != "Conv" && op != "Gemm" && op != "Add") return;
    activation_ = found;
    op_index_ = before;
  }

  std::optional<Quantized> input(const Node& node, size_t i) {
    return i < node.inputs.size() && node.inputs[i] != kNoValue ? find_quantized(sweep_, node.inputs[i]) : std::nullopt;
  }

  void set_activation(Node& node) const {
    if (activation_.node < 0) return;
    node.attributes.set("activation", activation_.name);
    if (!activation_.params.empty()) node.attributes.set("activation_params", activation_.params);
  }

  // The QuantizeLinear becomes `node`; what stood in front of it goes.
  bool become(Node node) {
    std::vector<std::string> fused{fused_name(sweep_.node(index_))};
    if (activation_.node >= 0) fused.insert(fused.begin(), fused_name(sweep_.node(activation_.node)));
    const Origin origin = op_index_ >= 0 ? sweep_.node(op_index_).origin : sweep_.node(index_).origin;
    sweep_.become(index_, std::move(node), fused);
    Origin& own = sweep_.node(index_).origin;
    own.node_name = origin.node_name;
    own.op_type = origin.op_type;
    own.fused.insert(own.fused.begin(), origin.fused.begin(), origin.fused.end());
    if (activation_.node >= 0) sweep_.remove(activation_.node);
    if (op_index_ >= 0) sweep_.remove(op_index_);
    return true;
  }

  static Node make(std::string domain, std::string op_type, std::vector<ValueId> inputs, const Node* like = nullptr) {
    Node node = make_node(std::move(op_type), std::move(inputs));
    node.domain = std::move(domain);
    if (like) node.attributes = like->attributes;
    return node;
  }

  bool requantize(const Quantized& x) {
    if (x.same_parameters(y_)) {
      const ValueId out = sweep_.node(index_).outputs[0];
      if (graph_.is_output(out)) return false;
      sweep_.redirect(out, x.source);
      sweep_.remove(index_);
      return true;
    }
    return become_table(x, [](const Tensor& values) { return std::optional(values); });
  }

  bool fuse_conv(const Node& conv) {
    const auto x = input(conv, 0);
    const auto w = find_quantized_weights(sweep_, conv.inputs[1], 0);
    if (!x || !w) return false;
    const auto bias = conv.has_input(2) ? quantized_bias(conv.inputs[2], *x, *w) : std::optional(kNoValue);
    if (!bias) return false;
    Node node = make("fastort", "QLinearConv",
                     {x->source, x->scale_id, x->zero(graph_), w->source, w->scale_id, w->zero(graph_), y_.scale_id,
                      y_.zero(graph_), *bias},
                     &conv);
    if (*bias == kNoValue) node.inputs.pop_back();
    set_activation(node);
    return become(std::move(node));
  }

  bool fuse_gemm(const Node& gemm) {
    const Attributes& attributes = gemm.attributes;
    if (attributes.get_float("alpha", 1) != 1 || attributes.get_int("transA", 0) != 0) return false;
    const bool trans_b = attributes.get_int("transB", 0) != 0;
    const auto a = input(gemm, 0);
    const auto b = find_quantized_weights(sweep_, gemm.inputs[1], trans_b ? 0 : 1);
    if (!a || !b || (gemm.has_input(2) && attributes.get_float("beta", 1) != 1)) return false;
    const auto bias = gemm.has_input(2) ? quantized_bias(gemm.inputs[2], *a, *b) : std::optional(kNoValue);
    if (!bias) return false;
    Node node = make("fastort", "QGemm",
                     {a->source, a->scale_id, a->zero(graph_), b->source, b->scale_id, b->zero(graph_), *bias,
                      y_.scale_id, y_.zero(graph_)});
    node.attributes.set("transB", int64_t{trans_b});
    set_activation(node);
    return become(std::move(node));
  }

  bool fuse_matmul(const Node& matmul) {
    const auto a = input(matmul, 0);
    auto b = input(matmul, 1);
    if (!b) b = find_quantized_weights(sweep_, matmul.inputs[1], -1);
    if (!a || !b) return false;
    return become(make("", "QLinearMatMul",
                       {a->source, a->scale_id, a->zero(graph_), b->source, b->scale_id, b->zero(graph_), y_.scale_id,
                        y_.zero(graph_)}));
  }

  bool fuse_binary(const Node& node, const char* domain) {
    const auto a = input(node, 0), b = input(node, 1);
    if (!a || !b || a->type != b->type || a->type != y_.type) return false;
    Node fused = make(domain, "QLinear" + node.op_type,
                      {a->source, a->scale_id, a->zero(graph_), b->source, b->scale_id, b->zero(graph_), y_.scale_id,
                       y_.zero(graph_)});
    set_activation(fused);
    return become(std::move(fused));
  }

  bool fuse_average(const Node& node) {
    const auto x = input(node, 0);
    if (!x || x->type != y_.type) return false;
    // The quantized form has no dilations.
    for (const int64_t dilation : node.attributes.get_ints("dilations"))
      if (dilation != 1) return false;
    Node fused = make("com.microsoft", "QLinear" + node.op_type,
                      {x->source, x->scale_id, x->zero(graph_), y_.scale_id, y_.zero(graph_)}, &node);
    fused.attributes.erase("dilations");
    return become(std::move(fused));
  }

  bool fuse_softmax(const Node& node) {
    const auto x = input(node, 0);
    if (!x || x->type != y_.type) return false;
    Node fused = make("com.microsoft", "QLinearSoftmax",
                      {x->source, x->scale_id, x->zero(graph_), y_.scale_id, y_.zero(graph_)}, &node);
    fused.attributes.set("opset", int64_t{13});
    return become(std::move(fused));
  }

  bool fuse_concat(const Node& node) {
    std::vector<ValueId> inputs{y_.scale_id, y_.zero(graph_)}, sources;
    bool same = true;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const auto x = input(node, i);
      if (!x || x->type != y_.type) return false;
      same &= x->same_parameters(y_);
      sources.push_back(x->source);
      inputs.insert(inputs.end(), {x->source, x->scale_id, x->zero(graph_)});
    }
    if (same) return become(make("", "Concat", std::move(sources), &node));
    return become(make("com.microsoft", "QLinearConcat", std::move(inputs), &node));
  }

  static bool is_movement(const Node& node) {
    static constexpr std::string_view kMovements[] = {"Reshape",      "Flatten",      "Squeeze",        "Unsqueeze",
                                                      "Transpose",    "Slice",        "Gather",         "Expand",
                                                      "DepthToSpace", "SpaceToDepth", "GatherElements", "MaxPool"};
    return std::find(std::begin(kMovements), std::end(kMovements), node.op_type) != std::end(kMovements);
  }

  // An operator that only moves or chooses numbers does so with bytes of the same meaning.
  bool move(const Node& node) {
    const auto x = input(node, 0);
    if (!x || !x->same_parameters(y_)) return false;
    if (node.outputs.size() > 1) return false;
    Node moved = node;
    moved.origin = {};
    moved.inputs[0] = x->source;
    return become(std::move(moved));
  }

  // Elementwise functions of one dequantized tensor become a table of 256 bytes.
  bool fuse_table() {
    std::vector<int> chain;
    int at = op_index_;
    std::optional<Quantized> x;
    while (!x) {
      const Node& node = sweep_.node(at);
      if (!is_function(node) || chain.size() == 8) return false;
      chain.push_back(at);
      const ValueId from = node.inputs[0];
      x = find_quantized(sweep_, from);
      if (x) break;
      if (!sweep_.single(from)) return false;
      at = sweep_.producer_index(from);
      if (at < 0) return false;
    }
    std::reverse(chain.begin(), chain.end());
    const bool made = become_table(*x, [&](Tensor values) -> std::optional<Tensor> {
      for (int index : chain) {
        auto next = apply(sweep_.node(index), values);
        if (!next) return std::nullopt;
        values = *std::move(next);
      }
      return values;
    });
    if (!made) return false;
    // become() removed the last one.
    for (size_t i = chain.size() - 1; i-- > 0;) sweep_.remove(chain[i]);
    return true;
  }

  bool is_function(const Node& node) const {
    static constexpr std::string_view kFunctions[] = {
        "Abs",        "Celu", "Clip",    "Cos",         "Elu",
        "Erf",        "Exp",  "Gelu",    "HardSigmoid", "HardSwish",
        "LeakyRelu",  "Log",  "Mish",    "Neg",         "Relu",
        "Reciprocal", "Selu", "Sigmoid", "Sin",         "Softplus",
        "Softsign",   "Sqrt", "Swish",   "Tanh",        "ThresholdedRelu"};
    if (!node.domain.empty() || node.outputs.size() != 1 || !node.has_input(0)) return false;
    if (std::find(std::begin(kFunctions), std::end(kFunctions), node.op_type) == std::end(kFunctions)) return false;
    for (size_t i = 1; i < node.inputs.size(); ++i)
      if (node.inputs[i] != kNoValue && !graph_.constant(node.inputs[i])) return false;
    return true;
  }

  std::optional<Tensor> apply(const Node& node, const Tensor& values) const {
    std::vector<Value> inputs(node.inputs.size());
    inputs[0] = values;
    for (size_t i = 1; i < inputs.size(); ++i)
      if (node.inputs[i] != kNoValue) inputs[i] = *graph_.constant(node.inputs[i]);
    const OpDef* op = find_op(node.domain, node.op_type);
    if (!op) return std::nullopt;
    try {
      const std::vector<Value> results = evaluate_node(*op, node, inputs);
      if (results[0].tensor().type() != DataType::Float || results[0].tensor().count() != 256) return std::nullopt;
      return results[0].tensor();
    } catch (const Error&) {
      return std::nullopt;  // the run reports it
    }
  }

  template <class F>
  bool become_table(const Quantized& x, F f) {
    Tensor values(DataType::Float, Shape{256});
    const bool x_signed = quantized::is_signed(x.type);
    for (int i = 0; i < 256; ++i) {
      const int32_t byte = kernels::read_byte(static_cast<std::byte>(i), x_signed);
      values.data<float>()[i] = static_cast<float>(byte - x.zero_point) * x.scale;
    }
    const std::optional<Tensor> results = f(values);
    if (!results) return false;
    Tensor table(y_.type, Shape{256});
    const auto range = kernels::ByteRange::of(quantized::is_signed(y_.type), y_.zero_point);
    for (int i = 0; i < 256; ++i) table.raw()[i] = range(results->data<float>()[i] / y_.scale);
    const std::string name = graph_.value(sweep_.node(index_).outputs[0]).name + "_table";
    return become(make("fastort", "ByteTable", {x.source, graph_.add_constant(name, std::move(table))}));
  }

  // The bias of a product as int32 with the scales of its operands; nothing where it is not constant or does not fit.
  std::optional<ValueId> quantized_bias(ValueId id, const Quantized& x, const Quantized& w) {
    const auto values = constant_floats(sweep_, id);
    if (!values || values->shape().rank() != 1) return std::nullopt;
    const Tensor& scales = *graph_.constant(w.scale_id);
    if (scales.count() != 1 && scales.count() != values->count()) return std::nullopt;
    Tensor bias(DataType::Int32, values->shape());
    for (int64_t m = 0; m < bias.count(); ++m) {
      const float scale = x.scale * scales.data<float>()[scales.count() == 1 ? 0 : m];
      const double number = std::nearbyint(static_cast<double>(values->data<float>()[m]) / scale);
      if (!(std::fabs(number) < 1 << 30)) return std::nullopt;
      bias.data<int32_t>()[m] = static_cast<int32_t>(number);
    }
    return graph_.add_constant(graph_.value(id).name + "_int32", std::move(bias));
  }

  Sweep& sweep_;
  Graph& graph_;
  int index_;
  Quantized y_;
  int op_index_ = -1;
  Activation activation_;
};

}  // namespace

// Operators between DequantizeLinear and QuantizeLinear become integer operators.
int fuse_quantized(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (sweep.removed(i)) continue;
    if (const auto y = find_quantization(sweep, sweep.node(i))) Group(sweep, i, *y).fuse();
  }
  return sweep.finish();
}

}  // namespace fastort
