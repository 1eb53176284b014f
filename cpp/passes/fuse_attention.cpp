#include <cmath>
#include <limits>
#include <optional>

#include "ops/core/evaluate.h"
#include "passes/attention_operand.h"
#include "passes/passes.h"
#include "passes/view.h"

namespace fastort {
namespace {

using attention::find_operand;
using attention::Role;
using attention::set_operand;

// The pattern, from the scores to the product with V. Sizes are those of the scores [B,H,S,T] and of a head.
struct Attention {
  ValueId q = kNoValue, k = kNoValue, v = kNoValue;
  bool k_transposed = false;  // k is [B,H,D,T]
  Dim batch = 1, heads = 1, queries = 1, keys = 1, size = 1, value_size = 1;
  float scale = 1;
  ValueId mask = kNoValue;     // broadcasts to the scores
  ValueId windows = kNoValue;  // [W,1 or H,S,T] with W windows in each batch item
  std::vector<int> inner;      // nodes that disappear
};

// ---- scores --------------------------------------------------------------------------------------------------------

class ScoreMatcher {
 public:
  ScoreMatcher(Sweep& sweep, int before) : sweep_(sweep), before_(before) {}

  // Opens what stands between a softmax and Q * K^T, from the softmax up. Nothing that others read is opened.
  bool match(ValueId id, Attention& found) {
    if (!sweep_.single(id)) return false;
    const int index = sweep_.producer_index(id);
    if (index < 0) return false;
    const Node node = sweep_.node(index);
    if (!node.domain.empty()) return false;
    found.inner.push_back(index);
    if (node.op_type == "MatMul") {
      found.q = node.inputs[0];
      found.k = node.inputs[1];
      found.k_transposed = true;
      return true;
    }
    if (node.op_type == "Mul" || node.op_type == "Div") return match_scale(node, found);
    if (node.op_type == "Add") return match_mask(node, found);
    if (node.op_type == "Where") return match_where(node, found);
    if (node.op_type == "Reshape") return match_windows(id, node, found);
    return false;
  }

 private:
  bool match_scale(const Node& node, Attention& found) {
    const bool commutes = node.op_type == "Mul";
    for (size_t k = 0; k < (commutes ? 2u : 1u); ++k) {
      const auto factor = sweep_.scalar(node.inputs[1 - k]);
      if (!factor || !std::isfinite(*factor) || *factor == 0) continue;
      if (!sweep_.same_shape(node.inputs[k], node.outputs[0])) return false;
      scaled_ = true;
      found.scale *= commutes ? *factor : 1 / *factor;
      return match(node.inputs[k], found);
    }
    return false;
  }

  bool match_mask(const Node& node, Attention& found) {
    if (scaled_) return false;  // the mask would be scaled too
    for (size_t k = 0; k < 2; ++k) {
      const Attention before = found;
      const ValueId scores = node.inputs[k], mask = node.inputs[1 - k];
      if (scores == mask || !fits(mask, node.outputs[0]) || !sweep_.same_shape(scores, node.outputs[0])) continue;
      if (match(scores, found)) {
        found.mask = found.mask == kNoValue ? mask : sum(found.mask, mask);
        return true;
      }
      found = before;
      scaled_ = false;
    }
    return false;
  }

  // Where(c, scores, -inf): what is far below every number takes no part, as if it were added.
  bool match_where(const Node& node, Attention& found) {
    if (scaled_) return false;
    for (size_t k = 1; k < 3; ++k) {
      const auto low = sweep_.scalar(node.inputs[3 - k]);
      if (!low || !(*low < -1e30f)) continue;
      const ValueId scores = node.inputs[k];
      if (!fits(node.inputs[0], node.outputs[0]) || !sweep_.same_shape(scores, node.outputs[0])) return false;
      if (sweep_.type(scores) != DataType::Float || !match(scores, found)) return false;
      Tensor zero(DataType::Float, Shape{});
      *zero.data<float>() = 0;
      const ValueId zero_id = sweep_.graph().add_constant(sweep_.graph().value(scores).name + "_zero", std::move(zero));
      std::vector<ValueId> inputs = {node.inputs[0], zero_id, zero_id};
      inputs[3 - k] = node.inputs[3 - k];
      const ValueId mask = sweep_.emit(before_, make_node("Where", std::move(inputs)));
      found.mask = found.mask == kNoValue ? mask : sum(found.mask, mask);
      return true;
    }
    return false;
  }

  // Reshape(Reshape(scores [B*W,H,S,T] -> [B,W,H,S,T]) + mask [1,W,1,S,T]): Swin's shifted windows.
  bool match_windows(ValueId id, const Node& node, Attention& found) {
    if (scaled_ || found.windows != kNoValue || found.mask != kNoValue) return false;
    const ValueId sum_id = node.inputs[0];
    const int add_index = sweep_.single(sum_id) ? sweep_.producer_index(sum_id) : -1;
    if (add_index < 0) return false;
    const Node add = sweep_.node(add_index);
    if (add.op_type != "Add" || !add.domain.empty()) return false;
    for (size_t k = 0; k < 2; ++k) {
      const ValueId split = add.inputs[k], mask = add.inputs[1 - k];
      const int split_index = sweep_.single(split) ? sweep_.producer_index(split) : -1;
      if (split_index < 0 || !is_reshape(sweep_.node(split_index))) continue;
      const ValueId scores = sweep_.node(split_index).inputs[0];
      const Shape* five = sweep_.shape(split);
      const Shape* mask_shape = sweep_.shape(mask);
      if (!five || five->rank() != 5 || !mask_shape || mask_shape->rank() != 5 || (*mask_shape)[0] != 1) continue;
      const Shape* four = sweep_.shape(scores);
      if (!four || four->rank() != 4 || !sweep_.same_shape(scores, id)) continue;
      bool fits = is_known((*five)[1]) && (*mask_shape)[1] == (*five)[1];
      for (size_t d = 1; d < 4; ++d) fits &= (*four)[d] == (*five)[d + 1];
      for (size_t d = 2; d < 5; ++d) fits &= (*mask_shape)[d] == 1 || (*mask_shape)[d] == (*five)[d];
      fits &= divide(*sweep_.graph().symbols, (*four)[0], (*five)[1]) == (*five)[0];
      if (!fits) continue;
      const Shape target((std::span<const Dim>(mask_shape->data() + 1, 4)));
      found.inner.push_back(add_index);
      found.inner.push_back(split_index);
      if (!match(scores, found)) return false;
      const ValueId windows = fold_or_emit_reshape(mask, target);
      if (windows == kNoValue) return false;
      found.windows = found.mask == kNoValue ? windows : sum(windows, found.mask);
      found.mask = kNoValue;
      return true;
    }
    return false;
  }

  // Whether `mask` broadcasts to `scores` without making them larger.
  bool fits(ValueId mask, ValueId scores) const {
    const Shape* small = sweep_.shape(mask);
    const Shape* large = sweep_.shape(scores);
    if (!small || !large || small->rank() > large->rank()) return false;
    const size_t lead = large->size() - small->size();
    for (size_t d = 0; d < small->size(); ++d)
      if ((*small)[d] != 1 && (*small)[d] != (*large)[lead + d]) return false;
    return true;
  }

  ValueId sum(ValueId a, ValueId b) { return fold_or_emit(make_node("Add", {a, b})); }

  ValueId fold_or_emit_reshape(ValueId value, const Shape& to) {
    if (const Tensor* constant = sweep_.graph().constant(value))
      return sweep_.graph().add_constant(sweep_.graph().value(value).name + "_windows", constant->reshaped(to));
    return emit_reshape(sweep_, before_, value, to);
  }

  // Masks are small beside what they are added to in every run, so that their sum may be kept.
  ValueId fold_or_emit(Node node) {
    Graph& graph = sweep_.graph();
    std::vector<Value> inputs;
    for (ValueId id : node.inputs) {
      const Tensor* constant = graph.constant(id);
      if (!constant) return sweep_.emit(before_, std::move(node));
      inputs.push_back(*constant);
    }
    const OpDef* op = find_op(node.domain, node.op_type);
    node.outputs = {0};
    const std::vector<Value> results = evaluate_node(*op, node, inputs, size_t{64} << 20);
    return graph.add_constant(graph.value(node.inputs[0]).name + "_mask", results[0].tensor());
  }

  Sweep& sweep_;
  int before_;
  bool scaled_ = false;
};

// ---- the node ------------------------------------------------------------------------------------------------------

bool rank_four(Sweep& sweep, ValueId id, Shape& shape) {
  const Shape* known = sweep.shape(id);
  if (!known || known->rank() != 4) return false;
  shape = *known;
  return true;
}

// Reads the sizes from the operands and checks that nothing is broadcast.
bool read_sizes(Sweep& sweep, Attention& found) {
  Shape q, k, v;
  if (!rank_four(sweep, found.q, q) || !rank_four(sweep, found.k, k) || !rank_four(sweep, found.v, v)) return false;
  if (found.k_transposed) std::swap(k[2], k[3]);
  if (q[0] != k[0] || q[0] != v[0] || q[1] != k[1] || q[1] != v[1] || q[3] != k[3] || k[2] != v[2]) return false;
  found.batch = q[0];
  found.heads = q[1];
  found.queries = q[2];
  found.keys = k[2];
  found.size = q[3];
  found.value_size = v[3];
  return true;
}

// Puts the FusedAttention in place of node `index`, which makes [B,H,S,D].
bool replace(Sweep& sweep, int index, const Attention& found) {
  const ValueId out = sweep.node(index).outputs[0];
  // The Transpose behind it is part of what the kernel writes.
  int end = index;
  std::string layout = "BHSD";
  const int reader = sweep.only_reader(out);
  if (reader >= 0 && sweep.node(reader).op_type == "Transpose" && sweep.node(reader).domain.empty() &&
      is_known(found.heads) && is_known(found.value_size)) {
    const auto perm = sweep.node(reader).attributes.get_ints("perm");
    if (perm == std::vector<int64_t>{0, 2, 1, 3}) layout = "BSHD";
    if (perm == std::vector<int64_t>{2, 0, 1, 3}) layout = "SBHD";
    if (layout != "BHSD") end = reader;
  }
  const Dim q_sizes[4] = {found.batch, found.heads, found.queries, found.size};
  const Dim k_sizes[4] = {found.batch, found.heads, found.keys, found.size};
  const Dim v_sizes[4] = {found.batch, found.heads, found.keys, found.value_size};
  const attention::Operand operands[3] = {find_operand(sweep, found.q, false, q_sizes, Role::Query),
                                          find_operand(sweep, found.k, found.k_transposed, k_sizes, Role::Key),
                                          find_operand(sweep, found.v, false, v_sizes, Role::Value)};
  Node fused = make_node("FusedAttention", {});
  fused.domain = "fastort";
  fused.name = sweep.node(index).name;
  float scale = found.scale;
  for (int i = 0; i < 3; ++i) {
    const ValueId value = set_operand(sweep, index, fused, i, operands[i]);
    if (value == kNoValue) return false;
    fused.inputs.push_back(value);
    scale *= operands[i].scale;
  }
  const ValueId mask = found.windows != kNoValue ? found.windows : found.mask;
  if (mask != kNoValue) fused.inputs.push_back(mask);
  if (found.windows != kNoValue) fused.attributes.set("mask_repeats", int64_t{1});
  fused.attributes.set("scale", scale);
  if (is_known(found.heads)) fused.attributes.set("num_heads", static_cast<int64_t>(found.heads));
  fused.attributes.set("output_layout", layout);

  std::vector<std::string> absorbed;
  for (int part : found.inner) absorbed.push_back(fused_name(sweep.node(part)));
  if (end == index) {
    sweep.become(index, std::move(fused), std::move(absorbed));
  } else {
    fused.origin = sweep.node(index).origin;
    fused.origin.fused.insert(fused.origin.fused.end(), absorbed.begin(), absorbed.end());
    fused.origin.fused.push_back(fused_name(sweep.node(end)));
    const Shape to = *sweep.shape(sweep.node(end).outputs[0]);
    const ValueId merged = sweep.emit(end, std::move(fused));
    auto heads = reshape_node(sweep, merged, to);
    if (!heads) return false;
    sweep.become(end, *std::move(heads), {});
    sweep.remove(index);
  }
  for (int part : found.inner) sweep.remove(part);
  return true;
}

// Softmax(scores) * V.
bool fuse_product(Sweep& sweep, int index) {
  const Node& product = sweep.node(index);
  Attention found;
  const int softmax_index = sweep.single(product.inputs[0]) ? sweep.producer_index(product.inputs[0]) : -1;
  if (softmax_index < 0) return false;
  const Node& softmax = sweep.node(softmax_index);
  if (softmax.op_type != "Softmax" || !softmax.domain.empty()) return false;
  const int64_t axis = softmax.attributes.get_int("axis", -1);
  if (axis != -1 && axis != 3) return false;
  found.v = product.inputs[1];
  found.inner.push_back(softmax_index);
  if (!ScoreMatcher(sweep, index).match(softmax.inputs[0], found)) return false;
  return read_sizes(sweep, found) && replace(sweep, index, found);
}

// ONNX's own Attention without mask, cache and extras.
bool fuse_operator(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  if (node.outputs.size() != 1 || node.num_inputs() < 3) return false;
  for (int i = 3; i < node.num_inputs(); ++i)
    if (node.has_input(i)) return false;
  const Attributes& attributes = node.attributes;
  if (attributes.get_int("is_causal", 0) != 0 || attributes.get_float("softcap", 0) != 0) return false;
  for (const char* name : {"left_window_size", "right_window_size"})
    if (attributes.get_int(name, -1) != -1) return false;
  if (attributes.get_int("softmax_precision", 1) != 1) return false;
  Attention found;
  found.q = node.inputs[0];
  found.k = node.inputs[1];
  found.v = node.inputs[2];
  if (!read_sizes(sweep, found) || !is_known(found.size) || found.size == 0) return false;
  found.scale = attributes.get_float("scale", 1 / std::sqrt(static_cast<float>(found.size)));
  return replace(sweep, index, found);
}

}  // namespace

// softmax(scale * Q * K^T + mask) * V becomes one FusedAttention that reads and writes heads where they lie.
int fuse_attention(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (sweep.removed(i) || !node.domain.empty() || node.outputs.empty()) continue;
    if (!kFloatTypes.has(sweep.type(node.outputs[0]))) continue;
    if (node.op_type == "MatMul")
      fuse_product(sweep, i);
    else if (node.op_type == "Attention")
      fuse_operator(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
