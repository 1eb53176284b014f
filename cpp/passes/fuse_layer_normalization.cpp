#include <algorithm>
#include <optional>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

// What stands between x and its normalised form, while it is matched: the nodes that go, and who may read their values.
class Match {
 public:
  explicit Match(Sweep& sweep) : sweep_(sweep) {}

  // The node that makes `id` where it is this operator of the ONNX domain; it becomes part of the pattern.
  const Node* take(ValueId id, std::string_view op_type) {
    const Node* node = sweep_.producer(id, op_type);
    if (node) nodes_.push_back(sweep_.producer_index(id));
    return node;
  }

  // Whether nobody beside the pattern and node `end` reads what the pattern makes.
  bool closed(int end) const {
    for (int index : nodes_) {
      for (ValueId id : sweep_.node(index).outputs) {
        if (id == kNoValue) continue;
        for (int reader : sweep_.readers(id))
          if (reader != end && std::find(nodes_.begin(), nodes_.end(), reader) == nodes_.end()) return false;
      }
    }
    return true;
  }

  void add(int index) { nodes_.push_back(index); }
  const std::vector<int>& nodes() const { return nodes_; }

 private:
  Sweep& sweep_;
  std::vector<int> nodes_;
};

// The mean over the last dimensions, which stay as 1: gives the first of them.
std::optional<int> trailing_mean(Sweep& sweep, const Node& mean, ValueId input) {
  const Shape* shape = sweep.shape(input);
  if (mean.inputs[0] != input || !shape || mean.attributes.get_int("keepdims", 1) != 1 || !mean.has_input(1))
    return std::nullopt;
  const auto axes = sweep.ints(mean.inputs[1]);
  if (!axes || axes->empty()) return std::nullopt;
  const int rank = shape->rank();
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (int64_t axis : *axes) {
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank) return std::nullopt;
    reduced[static_cast<size_t>(axis)] = true;
  }
  int first = rank;
  while (first > 0 && reduced[static_cast<size_t>(first - 1)]) --first;
  for (int d = 0; d < first; ++d)
    if (reduced[static_cast<size_t>(d)]) return std::nullopt;
  return first < rank ? std::optional(first) : std::nullopt;
}

struct Normalization {
  ValueId x = kNoValue;
  int axis = 0;
  float epsilon = 0;
  bool rms = false;
};

// mean(d * d) + epsilon below a square root: gives the first reduced axis and epsilon.
bool variance(Sweep& sweep, Match& match, ValueId id, ValueId d, Normalization& found) {
  const Node* add = match.take(id, "Add");
  if (!add) return false;
  const auto left = sweep.scalar(add->inputs[0]), right = sweep.scalar(add->inputs[1]);
  if (!left && !right) return false;
  found.epsilon = right ? *right : *left;
  const Node* mean = match.take(add->inputs[right ? 0 : 1], "ReduceMean");
  if (!mean) return false;
  const ValueId square = mean->inputs[0];
  if (const Node* pow = match.take(square, "Pow")) {
    if (pow->inputs[0] != d || !sweep.is_scalar(pow->inputs[1], 2)) return false;
  } else {
    const Node* mul = match.take(square, "Mul");
    if (!mul || mul->inputs[0] != d || mul->inputs[1] != d) return false;
  }
  const auto axis = trailing_mean(sweep, *mean, square);
  if (!axis) return false;
  found.axis = *axis;
  return true;
}

// Node `index` as d / sqrt(mean(d^2) + epsilon), with d = x - mean(x) or x itself.
std::optional<Normalization> normalized(Sweep& sweep, Match& match, int index) {
  const Node& node = sweep.node(index);
  ValueId d = kNoValue, root = kNoValue;
  if (node.op_type == "Div") {
    d = node.inputs[0];
    root = node.inputs[1];
  } else {
    for (size_t k = 0; k < 2 && root == kNoValue; ++k) {
      if (const Node* reciprocal = sweep.producer(node.inputs[k], "Reciprocal")) {
        match.take(node.inputs[k], "Reciprocal");
        root = reciprocal->inputs[0];
        d = node.inputs[1 - k];
      }
    }
  }
  if (root == kNoValue) return std::nullopt;
  const Node* sqrt = match.take(root, "Sqrt");
  Normalization found;
  if (!sqrt || !variance(sweep, match, sqrt->inputs[0], d, found)) return std::nullopt;
  found.x = d;
  found.rms = true;
  const Node* sub = sweep.producer(d, "Sub");
  const Node* mean = sub ? sweep.producer(sub->inputs[1], "ReduceMean") : nullptr;
  if (mean && trailing_mean(sweep, *mean, sub->inputs[0]) == found.axis) {
    match.take(d, "Sub");
    match.take(sub->inputs[1], "ReduceMean");
    found.x = sub->inputs[0];
    found.rms = false;
  }
  return found;
}

// The only reader of `id` where it is this operator with a second operand of the normalised dimensions' shape.
int affine_reader(Sweep& sweep, ValueId id, std::string_view op_type, const Shape& tail, ValueId& operand) {
  const int reader = sweep.only_reader(id);
  if (reader < 0) return -1;
  const Node& node = sweep.node(reader);
  if (node.op_type != op_type || !node.domain.empty()) return -1;
  operand = node.inputs[node.inputs[0] == id ? 1 : 0];
  const Shape* shape = sweep.shape(operand);
  return operand != id && shape && *shape == tail ? reader : -1;
}

bool fuse(Sweep& sweep, int index) {
  Match match(sweep);
  const auto found = normalized(sweep, match, index);
  if (!found || !match.closed(index)) return false;
  const Shape* shape = sweep.shape(found->x);
  if (!shape || !sweep.same_shape(found->x, sweep.node(index).outputs[0])) return false;
  const Shape tail(std::span<const Dim>(shape->data() + found->axis, shape->size() - static_cast<size_t>(found->axis)));

  int end = index;
  ValueId scale = kNoValue, bias = kNoValue;
  const int mul = affine_reader(sweep, sweep.node(index).outputs[0], "Mul", tail, scale);
  if (mul >= 0) {
    match.add(end);
    end = mul;
    const int add = found->rms ? -1 : affine_reader(sweep, sweep.node(mul).outputs[0], "Add", tail, bias);
    if (add >= 0) {
      match.add(end);
      end = add;
    } else {
      bias = kNoValue;
    }
  } else {
    if (!tail.is_concrete()) return false;
    Tensor ones(sweep.type(found->x), tail);
    if (ones.type() != DataType::Float) return false;
    std::fill_n(ones.data<float>(), ones.count(), 1.0f);
    scale = sweep.graph().add_constant(sweep.graph().value(found->x).name + "_ones", std::move(ones));
  }
  Node fused = make_node(found->rms ? "RMSNormalization" : "LayerNormalization", {found->x, scale});
  if (bias != kNoValue) fused.inputs.push_back(bias);
  fused.attributes.set("axis", static_cast<int64_t>(found->axis));
  fused.attributes.set("epsilon", found->epsilon);
  std::vector<std::string> absorbed;
  for (int part : match.nodes()) absorbed.push_back(fused_name(sweep.node(part)));
  sweep.become(end, std::move(fused), std::move(absorbed));
  for (int part : match.nodes()) sweep.remove(part);
  return true;
}

}  // namespace

// The decomposed forms (mean, difference, square, mean, root, quotient, scale and shift) become LayerNormalization or,
// where no mean is taken away, RMSNormalization.
int fuse_layer_normalization(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (sweep.removed(i) || !node.domain.empty() || (node.op_type != "Div" && node.op_type != "Mul")) continue;
    const DataType type = sweep.type(node.outputs[0]);
    if (type == DataType::Float || type == DataType::Float16 || type == DataType::BFloat16) fuse(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
