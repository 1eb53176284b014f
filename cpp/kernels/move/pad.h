#pragma once

#include <vector>

#include "base/parallel.h"
#include "kernels/move/strided_copy.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

enum class PadMode : uint8_t { Constant, Reflect, Edge, Wrap };

// ONNX Pad for any element type. Negative pads cut elements off; the modes other than Constant repeat what is left.
class Pad {
 public:
  Pad(DataType type, PadMode mode, const Shape& src, const Strides& begins, const Strides& ends);
  // `value` is one element, or nullptr for zero (an empty string).
  void run(const std::byte* src, std::byte* dst, const std::byte* value, const Parallel& parallel) const;

  // For each dimension of the result, up to the last padded one, the offsets of its positions in the source or -1; what
  // follows that dimension moves as one.
  const std::vector<std::vector<int64_t>>& maps() const { return maps_; }
  int64_t inner() const { return inner_; }

 private:
  template <class T>
  void run_lines(const T* src, T* dst, const T& fill, int64_t begin, int64_t end) const;

  DataType type_;
  Shape dst_;                       // up to the last padded dimension, which is a line
  int64_t inner_ = 1;               // elements of one position of the line
  int64_t first_ = 0, middle_ = 0;  // positions of the line before those copied as they are, and their number
  // For each dimension and position of dst the offset into src, or -1 for the constant, outermost dimension first.
  std::vector<std::vector<int64_t>> maps_;
};

}  // namespace fastort::kernels
