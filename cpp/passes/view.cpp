#include "passes/view.h"

#include <algorithm>

namespace fastort {

std::optional<Dim> divide(SymbolTable& symbols, Dim a, Dim b) {
  if (b == 1) return a;
  if (is_known(a) && is_known(b)) return b > 0 && a % b == 0 ? std::optional(a / b) : std::nullopt;
  if (b == 0) return std::nullopt;
  const Dim quotient = symbols.div_floor(a, b);
  return symbols.mul(quotient, b) == a ? std::optional(quotient) : std::nullopt;
}

bool is_reshape(const Node& node) {
  return node.domain.empty() && (node.op_type == "Reshape" || node.op_type == "Flatten" || node.op_type == "Squeeze" ||
                                 node.op_type == "Unsqueeze");
}

std::optional<std::vector<int64_t>> permutation(const Sweep& sweep, const Node& node) {
  const Shape* shape = sweep.shape(node.inputs[0]);
  if (!shape) return std::nullopt;
  std::vector<int64_t> perm = node.attributes.get_ints("perm");
  if (perm.empty())
    for (int i = shape->rank() - 1; i >= 0; --i) perm.push_back(i);
  if (static_cast<int>(perm.size()) != shape->rank()) return std::nullopt;
  for (int64_t& axis : perm) axis += axis < 0 ? shape->rank() : 0;
  return perm;
}

std::optional<std::vector<int64_t>> reshape_target(SymbolTable& symbols, const Shape& from, const Shape& to) {
  std::vector<int64_t> target;
  int inferred = -1;
  bool has_zero = false;
  for (int i = 0; i < to.rank(); ++i) {
    const Dim dim = to[static_cast<size_t>(i)];
    has_zero |= dim == 0;
    if (is_known(dim)) {
      target.push_back(dim);
    } else if (i < from.rank() && from[static_cast<size_t>(i)] == dim) {
      target.push_back(0);
    } else if (inferred < 0) {
      inferred = i;
      target.push_back(-1);
    } else {
      return std::nullopt;
    }
  }
  if (has_zero) return std::nullopt;  // 0 would be copied
  if (inferred < 0) return target;
  // A copied size may be 0 in a run, and -1 beside it would say nothing.
  if (std::find(target.begin(), target.end(), 0) != target.end()) return std::nullopt;
  Dim have = 1, want = 1;
  for (Dim dim : from) have = symbols.mul(have, dim);
  for (Dim dim : to) want = symbols.mul(want, dim);
  return have == want ? std::optional(target) : std::nullopt;
}

std::optional<Node> reshape_node(Sweep& sweep, ValueId value, const Shape& to) {
  Graph& graph = sweep.graph();
  const Shape* from = sweep.shape(value);
  const auto target = from ? reshape_target(*graph.symbols, *from, to) : std::nullopt;
  if (!target) return std::nullopt;
  Tensor shape(DataType::Int64, Shape{static_cast<Dim>(target->size())});
  std::copy(target->begin(), target->end(), shape.data<int64_t>());
  return make_node("Reshape", {value, graph.add_constant(graph.value(value).name + "_shape", std::move(shape))});
}

ValueId emit_reshape(Sweep& sweep, int before, ValueId value, const Shape& to) {
  const Shape* from = sweep.shape(value);
  if (from && *from == to) return value;
  auto node = reshape_node(sweep, value, to);
  return node ? sweep.emit(before, *std::move(node)) : kNoValue;
}

std::optional<View> View::of(Sweep& sweep, ValueId value) {
  const Shape* shape = sweep.shape(value);
  if (!shape) return std::nullopt;
  View view;
  view.source_ = value;
  for (Dim dim : *shape) {
    if (dim == 0) return std::nullopt;
    view.axes_.emplace_back();
    if (dim != 1) view.axes_.back().push_back(view.add_piece(dim));
  }
  view.source_axes_ = view.axes_;
  return view;
}

int View::add_piece(Dim size, int64_t index) {
  pieces_.push_back({size, index});
  return static_cast<int>(pieces_.size()) - 1;
}

std::vector<int> View::order() const {
  std::vector<int> order;
  for (const auto& axis : source_axes_) order.insert(order.end(), axis.begin(), axis.end());
  return order;
}

// Makes two pieces of one, the first of size `outer`.
bool View::split(SymbolTable& symbols, int id, Dim outer) {
  const Piece whole = piece(id);
  const auto inner = divide(symbols, whole.size, outer);
  if (!inner) return false;
  int64_t inner_index = -1;
  if (whole.index >= 0) {
    if (!is_known(*inner)) return false;
    inner_index = whole.index % *inner;
    pieces_[static_cast<size_t>(id)].index = whole.index / *inner;
  }
  pieces_[static_cast<size_t>(id)].size = outer;
  const int second = add_piece(*inner, inner_index);
  for (auto* axes : {&axes_, &source_axes_}) {
    for (auto& axis : *axes) {
      const auto at = std::find(axis.begin(), axis.end(), id);
      if (at != axis.end()) axis.insert(at + 1, second);
    }
  }
  return true;
}

// Distributes the pieces of the source to axes of these sizes.
bool View::regroup(SymbolTable& symbols, const Shape& shape) {
  std::vector<std::vector<int>> groups;
  size_t next = 0;
  for (Dim dim : shape) {
    groups.emplace_back();
    Dim rest = dim;
    while (rest != 1) {
      const std::vector<int> pieces = order();
      if (next >= pieces.size()) return false;
      const int id = pieces[next];
      if (const auto quotient = divide(symbols, rest, piece(id).size)) {
        rest = *quotient;
      } else if (split(symbols, id, rest)) {
        rest = 1;
      } else {
        return false;
      }
      groups.back().push_back(id);
      ++next;
    }
  }
  if (next != order().size()) return false;
  source_axes_ = std::move(groups);
  return true;
}

// The source is [begin, begin + count) of an axis of `size`.
bool View::pick_range(SymbolTable& symbols, int axis, Dim size, int64_t begin, Dim count) {
  if (!is_known(count) || count == 0 || begin % count != 0) return false;
  const auto parts = divide(symbols, size, count);
  if (!parts || (is_known(*parts) && begin / count >= *parts) || (!is_known(*parts) && begin != 0)) return false;
  if (*parts == 1) return true;
  auto& pieces = source_axes_[static_cast<size_t>(axis)];
  pieces.insert(pieces.begin(), add_piece(*parts, begin / count));
  return true;
}

bool View::step(Sweep& sweep, bool pick) {
  const int index = sweep.producer_index(source_);
  if (index < 0) return false;
  const Node& node = sweep.node(index);
  if (!node.domain.empty() || !node.has_input(0)) return false;
  const ValueId input = node.inputs[0];
  const Shape* known = sweep.shape(input);
  if (!known) return false;
  const Shape shape = *known;
  for (Dim dim : shape)
    if (dim == 0) return false;
  SymbolTable& symbols = *sweep.graph().symbols;
  View next = *this;
  if (node.op_type == "Transpose") {
    const auto perm = permutation(sweep, node);
    if (!perm) return false;
    for (size_t i = 0; i < perm->size(); ++i) next.source_axes_[static_cast<size_t>((*perm)[i])] = source_axes_[i];
  } else if (is_reshape(node)) {
    if (!next.regroup(symbols, shape)) return false;
  } else if (pick && node.op_type == "Gather") {
    const Tensor* indices = sweep.graph().constant(node.inputs[1]);
    if (!indices || indices->shape().rank() != 0) return false;
    int64_t axis = node.attributes.get_int("axis", 0);
    if (axis < 0) axis += shape.rank();
    const auto values = sweep.ints(node.inputs[1]);
    if (!values || axis < 0 || axis >= shape.rank()) return false;
    const Dim size = shape[static_cast<size_t>(axis)];
    const int64_t at = (*values)[0] < 0 && is_known(size) ? (*values)[0] + size : (*values)[0];
    if (!is_known(size) || at < 0 || at >= size) return false;
    next.source_axes_.insert(next.source_axes_.begin() + axis, std::vector<int>{});
    if (size != 1) next.source_axes_[static_cast<size_t>(axis)].push_back(next.add_piece(size, at));
  } else if (pick && node.op_type == "Slice") {
    const auto starts = sweep.ints(node.inputs[1]);
    const auto axes = node.has_input(3) ? sweep.ints(node.inputs[3]) : std::nullopt;
    const auto steps = node.has_input(4) ? sweep.ints(node.inputs[4]) : std::vector<int64_t>{1};
    const Shape* part = sweep.shape(source_);
    if (!starts || starts->size() != 1 || !axes || axes->size() != 1 || !steps || (*steps)[0] != 1) return false;
    const int64_t axis = (*axes)[0] < 0 ? (*axes)[0] + shape.rank() : (*axes)[0];
    if (axis < 0 || axis >= shape.rank() || !part) return false;
    const Dim size = shape[static_cast<size_t>(axis)];
    const int64_t begin = (*starts)[0] < 0 && is_known(size) ? (*starts)[0] + size : (*starts)[0];
    if (begin < 0 || !is_known(size)) return false;
    if (!next.pick_range(symbols, static_cast<int>(axis), size, begin, (*part)[static_cast<size_t>(axis)]))
      return false;
  } else if (pick && node.op_type == "Split") {
    int64_t axis = node.attributes.get_int("axis", 0);
    if (axis < 0) axis += shape.rank();
    if (axis < 0 || axis >= shape.rank()) return false;
    int64_t begin = 0;
    Dim count = 0;
    for (ValueId output : node.outputs) {
      const Shape* part = output == kNoValue ? nullptr : sweep.shape(output);
      if (!part || !is_known((*part)[static_cast<size_t>(axis)])) return false;
      count = (*part)[static_cast<size_t>(axis)];
      if (output == source_) break;
      begin += count;
    }
    if (!next.pick_range(symbols, static_cast<int>(axis), shape[static_cast<size_t>(axis)], begin, count)) return false;
  } else {
    return false;
  }
  next.source_ = input;
  next.nodes_.push_back(index);
  *this = std::move(next);
  return true;
}

}  // namespace fastort
