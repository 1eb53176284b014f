#include "passes/attention_operand.h"

#include <cmath>
#include <initializer_list>
#include <optional>

#include "passes/view.h"

namespace fastort::attention {
namespace {

// How the pieces of [B,H,S,D] lie in the source of the view; nothing for any other order.
std::optional<Operand> read_layout(const View& view, const std::vector<int> (&axes)[4], const Dim (&sizes)[4],
                                   SymbolTable& symbols) {
  const auto& [b, h, s, d] = axes;
  const auto [batch, heads, rows, size] = sizes;
  const std::vector<int> order = view.order();
  Operand operand;
  operand.value = view.source();
  auto joined = [](std::initializer_list<const std::vector<int>*> lists) {
    std::vector<int> all;
    for (const auto* list : lists) all.insert(all.end(), list->begin(), list->end());
    return all;
  };
  std::vector<int> picked;
  for (int id : order)
    if (view.piece(id).index >= 0) picked.push_back(id);
  if (picked.size() > 1) return std::nullopt;
  if (picked.empty()) {
    if (order == joined({&b, &h, &s, &d})) {
      operand.layout = "BHSD";
      operand.shape = {batch, heads, rows, size};
      return operand;
    }
    if (order == joined({&b, &h, &d, &s})) {
      operand.layout = "BHDS";
      operand.shape = {batch, heads, size, rows};
      return operand;
    }
  } else {
    const View::Piece& piece = view.piece(picked[0]);
    if (!is_known(piece.size)) return std::nullopt;
    operand.parts = piece.size;
    operand.part = piece.index;
  }
  if (!is_known(heads) || !is_known(size)) return std::nullopt;
  const Dim columns = symbols.mul(operand.parts, heads * size);
  if (order == joined({&b, &s, &picked, &h, &d})) {
    operand.layout = "BSHD";
    operand.shape = {batch, rows, columns};
    return operand;
  }
  if (order == joined({&s, &b, &picked, &h, &d})) {
    operand.layout = "SBHD";
    operand.shape = {rows, batch, columns};
    return operand;
  }
  return std::nullopt;
}

}  // namespace

Operand find_operand(Sweep& sweep, ValueId id, bool transposed, const Dim (&sizes)[4], Role role) {
  const bool is_key = role == Role::Key, scalable = role != Role::Value;
  SymbolTable& symbols = *sweep.graph().symbols;
  Operand best;
  best.value = id;
  best.layout = transposed ? "BHDS" : "BHSD";
  best.shape =
      transposed ? Shape{sizes[0], sizes[1], sizes[3], sizes[2]} : Shape{sizes[0], sizes[1], sizes[2], sizes[3]};
  const auto start = View::of(sweep, id);
  if (!start) return best;
  View view = *start;
  float scale = 1;
  bool best_is_rows = false;
  for (;;) {
    const auto& a = view.axes();
    const std::vector<int> axes[4] = {a[0], a[1], transposed ? a[3] : a[2], transposed ? a[2] : a[3]};
    if (auto operand = read_layout(view, axes, sizes, symbols)) {
      // The nearest to the source wins, but a layout with adjacent items is better than one of rows, which only K may
      // have.
      const bool items_adjacent = operand->layout != "BHDS";
      if (items_adjacent || (is_key && !best_is_rows)) {
        best = *operand;
        best.scale = scale;
        best_is_rows = items_adjacent;
      }
    }
    if (view.step(sweep, true)) continue;
    const Node* maker = scalable ? sweep.producer(view.source()) : nullptr;
    if (!maker || !maker->domain.empty() || (maker->op_type != "Mul" && maker->op_type != "Div")) return best;
    const bool commutes = maker->op_type == "Mul";
    const auto right = sweep.scalar(maker->inputs[1]);
    const auto left = commutes && !right ? sweep.scalar(maker->inputs[0]) : std::nullopt;
    const auto factor = right ? right : left;
    const ValueId other = maker->inputs[right ? 0 : 1];
    if (!factor || *factor == 0 || !std::isfinite(*factor) || !sweep.same_shape(other, view.source())) return best;
    scale *= commutes ? *factor : 1 / *factor;
    view.rename_source(other);
  }
}

ValueId set_operand(Sweep& sweep, int before, Node& fused, int i, const Operand& operand) {
  static constexpr const char* kNames[] = {"q", "k", "v"};
  const ValueId value = emit_reshape(sweep, before, operand.value, operand.shape);
  if (value == kNoValue) return value;
  fused.attributes.set(std::string(kNames[i]) + "_layout", operand.layout);
  if (operand.parts > 1) {
    fused.attributes.set(std::string(kNames[i]) + "_parts", operand.parts);
    fused.attributes.set(std::string(kNames[i]) + "_part", operand.part);
  }
  return value;
}

}  // namespace fastort::attention
