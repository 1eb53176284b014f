#include <optional>

#include "passes/attention_operand.h"
#include "passes/passes.h"

namespace fastort {
namespace {

enum Input { kQ, kK, kV, kMask, kPastK, kPastV };

// K or V of an attention as Concat(past, fresh) of rows.
struct Cached {
  int concat = -1;
  ValueId past = kNoValue, fresh = kNoValue;
  Shape past_shape, fresh_shape;  // [batch, heads, rows, size]
};

bool is_rows_axis(int64_t axis) { return axis == 2 || axis == -2; }

std::optional<Cached> match_cache(Sweep& sweep, int index, int input) {
  static constexpr const char* kLayouts[] = {"", "k_layout", "v_layout"};
  static constexpr const char* kParts[] = {"", "k_parts", "v_parts"};
  const Node& node = sweep.node(index);
  if (node.attributes.get_string(kLayouts[input], "BHSD") != "BHSD") return std::nullopt;
  if (node.attributes.get_int(kParts[input], 1) != 1) return std::nullopt;
  Cached found;
  const ValueId rows = node.inputs[static_cast<size_t>(input)];
  found.concat = sweep.producer_index(rows);
  if (found.concat < 0) return std::nullopt;
  const Node& concat = sweep.node(found.concat);
  if (concat.op_type != "Concat" || !concat.domain.empty() || concat.inputs.size() != 2) return std::nullopt;
  if (!is_rows_axis(concat.attributes.get_int("axis", 0))) return std::nullopt;
  found.past = concat.inputs[0];
  found.fresh = concat.inputs[1];
  const Shape* past = sweep.shape(found.past);
  const Shape* fresh = sweep.shape(found.fresh);
  if (!past || !fresh || past->rank() != 4 || fresh->rank() != 4) return std::nullopt;
  for (size_t d : {0u, 1u, 3u})
    if ((*past)[d] != (*fresh)[d]) return std::nullopt;
  found.past_shape = *past;
  found.fresh_shape = *fresh;
  // Whoever else reads the rows must come later: the attention makes them.
  for (int reader : sweep.readers(rows))
    if (reader >= 0 && reader < index) return std::nullopt;
  return found;
}

bool fuse(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  if (node.outputs.size() != 1 || node.has_input(kPastK)) return false;
  const auto k = match_cache(sweep, index, kK), v = match_cache(sweep, index, kV);
  if (!k || !v || k->concat == v->concat) return false;
  if (k->past_shape[2] != v->past_shape[2] || k->fresh_shape[2] != v->fresh_shape[2]) return false;

  Node fused = make_node("FusedAttention", node.inputs);
  fused.domain = "fastort";
  fused.attributes = node.attributes;
  fused.inputs.resize(kPastV + 1, kNoValue);
  const Cached* const sides[] = {nullptr, &*k, &*v};
  for (int i : {kK, kV}) {
    const Shape& shape = sides[i]->fresh_shape;
    const Dim sizes[4] = {shape[0], shape[1], shape[2], shape[3]};
    // As a value, never as a key: what goes out must have been multiplied, and K is read by rows.
    const auto operand = attention::find_operand(sweep, sides[i]->fresh, false, sizes, attention::Role::Value);
    const ValueId value = attention::set_operand(sweep, index, fused, i, operand);
    if (value == kNoValue) return false;
    fused.inputs[static_cast<size_t>(i)] = value;
  }
  fused.inputs[kPastK] = k->past;
  fused.inputs[kPastV] = v->past;
  // With one layout of tokens the number of heads is told by an attribute.
  if (is_known(k->fresh_shape[1])) fused.attributes.set("kv_num_heads", static_cast<int64_t>(k->fresh_shape[1]));
  sweep.become(index, std::move(fused), {fused_name(sweep.node(k->concat)), fused_name(sweep.node(v->concat))});
  sweep.take_output(index, k->concat);
  sweep.take_output(index, v->concat);
  return true;
}

}  // namespace

// A FusedAttention whose keys and values are a past with new rows behind it takes both, and makes the present while it
// reads the past.
int fuse_past(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (!sweep.removed(i) && node.op_type == "FusedAttention" && node.domain == "fastort") fuse(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
