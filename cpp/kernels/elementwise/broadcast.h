#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/fn_ref.h"
#include "base/inline_vector.h"
#include "base/parallel.h"
#include "tensor/shape.h"

namespace fastort::kernels {

// The loop nest over an output and operands that broadcast to it, with dimensions merged where all agree. Runs hand
// out pieces in which every operand is either a vector or one element.
class Broadcast {
 public:
  using Strides = InlineVector<int64_t, 6>;
  struct Operand {
    const std::byte* data;
    size_t item;  // bytes of an element
  };
  // `src` stand in the order of the operands.
  using Body = FnRef<void(std::byte* dst, const std::byte* const* src, int64_t n)>;

  Broadcast() = default;
  // `strides` in elements of each operand for each of `dims`; 0 repeats. The output is contiguous over `dims`.
  // `copyable`: elements may be copied bytewise, which short rows need to be fast.
  Broadcast(std::span<const int64_t> dims, std::span<const Strides> strides, bool copyable = true);
  // NumPy's broadcasting of contiguous operands; each shape must broadcast to `out`.
  static Broadcast of(const Shape& out, std::span<const Shape> operands, bool copyable = true);

  int64_t count() const { return count_; }
  // Whether the pieces' operand i is a vector (else one element).
  bool is_vector(int i) const { return vector_[static_cast<size_t>(i)]; }
  // A run is one piece, in which every operand starts with its first element.
  bool is_one_row() const { return dims_.size() == 1 && tile_rows_ == 0; }
  // Output and operand have the same elements in the same order.
  bool is_whole(int i) const;
  void run(const Parallel& parallel, int64_t grain, std::byte* dst, size_t dst_item, std::span<const Operand> operands,
           Body body) const;

 private:
  void run_rows(int64_t begin, int64_t end, std::byte* dst, size_t dst_item, std::span<const Operand> operands,
                Body body) const;
  void run_tiles(int64_t begin, int64_t end, std::byte* dst, size_t dst_item, std::span<const Operand> operands,
                 Body body) const;

  InlineVector<int64_t, 8> dims_;
  std::vector<Strides> strides_;
  InlineVector<uint8_t, 8> vector_;
  InlineVector<uint8_t, 8> gathered_;  // with tiles: operands that are copied into a tile
  int64_t count_ = 0;
  int64_t tile_rows_ = 0;  // 0: no tiles
};

}  // namespace fastort::kernels
