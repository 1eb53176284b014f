#pragma once

#include "ops/op.h"

namespace fastort {

// How a window slides over the spatial dimensions: the attributes kernel_shape, strides, dilations, pads, auto_pad and
// ceil_mode of convolutions and pooling, checked against each other.
struct Window {
  enum class AutoPad : uint8_t { NotSet, SameUpper, SameLower, Valid };
  using Ints = InlineVector<int64_t, 4>;

  int rank = 0;
  Ints kernel, stride, dilation;  // all positive
  Ints pad_begin, pad_end;        // as in the attribute; see `resolve` for auto_pad
  AutoPad auto_pad = AutoPad::NotSet;
  bool ceil_mode = false;

  // `kernel` are the sizes of the weights where they are known (0: not known); empty: the attribute is required.
  // Throws InvalidGraph for attributes that do not fit each other.
  static Window parse(const Attributes& attributes, int rank, std::span<const Dim> kernel);

  // Sizes of the output for inputs that may be symbols.
  Dim output(SymbolTable& symbols, int axis, Dim in) const;
  // For known sizes; throws InvalidGraph where the window does not fit into the padded input.
  int64_t output(int axis, int64_t in) const;
  // Turns auto_pad into pads for known sizes.
  void resolve(std::span<const int64_t> in);

  int64_t extent(int axis) const {
    const auto i = static_cast<size_t>(axis);
    return dilation[i] * (kernel[i] - 1) + 1;
  }
};

}  // namespace fastort
