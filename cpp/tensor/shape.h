#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/inline_vector.h"

namespace fastort {

// One dimension: a known size (>= 0) or a symbol (< 0). Two equal symbols are the same size; a symbol is the index of
// an entry of the graph's SymbolTable.
using Dim = int64_t;
constexpr bool is_known(Dim dim) noexcept { return dim >= 0; }

// Symbols lie at or below this value. The small negative numbers above it stand for themselves where the items of an
// integer tensor are kept as sizes (the -1 of a Reshape next to a symbolic batch); no shape holds one.
inline constexpr Dim kFirstSymbol = -(Dim{1} << 40);
constexpr bool is_symbol(Dim dim) noexcept { return dim <= kFirstSymbol; }

// Sizes of a tensor's dimensions, outermost first. Concrete where every dimension is known.
class Shape : public InlineVector<Dim, 6> {
 public:
  using InlineVector::InlineVector;
  int rank() const noexcept { return static_cast<int>(size()); }
  bool is_concrete() const noexcept {
    for (Dim dim : *this)
      if (!is_known(dim)) return false;
    return true;
  }
  // Number of elements of a concrete shape.
  int64_t count() const noexcept { return count(0, rank()); }
  // Product of the dimensions [begin, end).
  int64_t count(int begin, int end) const noexcept {
    int64_t product = 1;
    for (int i = begin; i < end; ++i) product *= (*this)[i];
    return product;
  }
};

// Number of elements of a concrete shape, or nothing where it does not fit 2^62 elements.
std::optional<int64_t> checked_count(const Shape& shape) noexcept;

// "[1,3,224,224]".
std::string to_string(const Shape& shape);

// Row-major strides in elements.
Shape contiguous_strides(const Shape& shape);

// How the elements of a tensor of rank >= 3 lie in memory: as in ONNX (Plain), channels last, or in blocks of 8 or 16
// channels (nChw8c, nChw16c; the last block is padded with zeros).
enum class Layout : uint8_t { Plain, Nhwc, C8, C16 };
std::string_view name(Layout layout) noexcept;
constexpr int channel_block(Layout layout) noexcept {
  return layout == Layout::C8 ? 8 : layout == Layout::C16 ? 16 : 1;
}

// Number of elements that a tensor of this shape takes in this layout, padding included.
int64_t physical_count(const Shape& shape, Layout layout) noexcept;

}  // namespace fastort
