#pragma once

#include <optional>
#include <vector>

#include "passes/rewrite.h"

namespace fastort {

// What a chain of Reshape, Transpose, Squeeze, Unsqueeze, Gather and Slice does to a value, told as pieces of axes:
// each axis of the source and of the value is a list of pieces, outermost first. A piece that is picked at one index
// (by a Gather, say) stands in the source only.
class View {
 public:
  struct Piece {
    Dim size = 1;
    int64_t index = -1;  // where the piece is picked; -1: all of it
  };

  // The value itself, its axes one piece each. Nothing where the rank is not known or a size is 0.
  static std::optional<View> of(Sweep& sweep, ValueId value);

  // Looks through the node that makes the source; false, and unchanged, where that is not possible. `pick` allows
  // nodes that take a part of their input.
  bool step(Sweep& sweep, bool pick);
  // As far as it goes.
  void trace(Sweep& sweep, bool pick) {
    while (step(sweep, pick)) {
    }
  }

  ValueId source() const { return source_; }
  // The source is `other` with something done to each element.
  void rename_source(ValueId other) { source_ = other; }
  const std::vector<std::vector<int>>& axes() const { return axes_; }
  const Piece& piece(int id) const { return pieces_[static_cast<size_t>(id)]; }
  // The pieces of the source in the order of its memory.
  std::vector<int> order() const;
  // The nodes that were looked through, the last one (the nearest to the source) behind.
  const std::vector<int>& nodes() const { return nodes_; }

 private:
  int add_piece(Dim size, int64_t index = -1);
  bool regroup(SymbolTable& symbols, const Shape& shape);
  bool split(SymbolTable& symbols, int piece, Dim outer);
  bool pick_range(SymbolTable& symbols, int axis, Dim size, int64_t begin, Dim count);

  ValueId source_ = kNoValue;
  std::vector<Piece> pieces_;
  std::vector<std::vector<int>> axes_, source_axes_;
  std::vector<int> nodes_;
};

// a / b where b divides a for every value of the symbols.
std::optional<Dim> divide(SymbolTable& symbols, Dim a, Dim b);

// The `shape` input of a Reshape from one shape to another with as many elements, where it can be a constant: symbols
// are copied by 0 or made by one -1.
std::optional<std::vector<int64_t>> reshape_target(SymbolTable& symbols, const Shape& from, const Shape& to);

// Reshape(`value`) to a shape as above. Nothing where the shape cannot be a constant.
std::optional<Node> reshape_node(Sweep& sweep, ValueId value, const Shape& to);

// The same, added in front of node `before`; `value` itself where it has that shape.
// kNoValue where the shape cannot be a constant.
ValueId emit_reshape(Sweep& sweep, int before, ValueId value, const Shape& to);

// A Transpose's permutation with its default written out; nothing where the rank is not known.
std::optional<std::vector<int64_t>> permutation(const Sweep& sweep, const Node& node);

// Reshape, Flatten, Squeeze, Unsqueeze.
bool is_reshape(const Node& node);

}  // namespace fastort
