#pragma once

#include <algorithm>

#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// A convolution's shape with three spatial dimensions, the innermost last.
struct Grid {
  ConvShape::Spatial in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{};

  explicit Grid(const ConvShape& shape) {
    for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i) {
      const size_t to = 3 - static_cast<size_t>(shape.rank) + i;
      in[to] = shape.in[i], out[to] = shape.out[i], kernel[to] = shape.kernel[i], stride[to] = shape.stride[i];
      dilation[to] = shape.dilation[i], pad[to] = shape.pad_begin[i];
    }
  }

  // Calls visit(tap, row, offset) for the taps that output row (z, y) has inside of the input: the tap's place among a
  // channel's weights, the first pixel of its row in the channel, and the column that output column 0 reads there.
  template <class Visit>
  void for_each_tap(int64_t z, int64_t y, const Visit& visit) const {
    int64_t tap = 0;
    for (int64_t kz = 0; kz < kernel[0]; ++kz) {
      const int64_t sz = z * stride[0] + kz * dilation[0] - pad[0];
      for (int64_t ky = 0; ky < kernel[1]; ++ky, tap += kernel[2]) {
        const int64_t sy = y * stride[1] + ky * dilation[1] - pad[1];
        if (sz < 0 || sz >= in[0] || sy < 0 || sy >= in[1]) continue;
        for (int64_t kx = 0; kx < kernel[2]; ++kx)
          visit(tap + kx, (sz * in[1] + sy) * in[2], kx * dilation[2] - pad[2]);
      }
    }
  }

  // Calls visit(i, column) for those of the output columns first + i, i < count, whose source lies in the input's row.
  template <class Visit>
  void for_each_column(int64_t first, int64_t count, int64_t offset, const Visit& visit) const {
    const int64_t step = stride[2], start = first * step + offset;
    const int64_t begin = start >= 0 ? 0 : (-start + step - 1) / step;
    const int64_t end = start >= in[2] ? 0 : std::min(count, (in[2] - start + step - 1) / step);
    for (int64_t i = begin; i < end; ++i) visit(i, start + i * step);
  }
};

}  // namespace fastort::kernels
