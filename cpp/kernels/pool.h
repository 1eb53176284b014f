#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/parallel.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

enum class PoolKind : uint8_t {
  Max,
  Average,        // over the elements inside the input
  AveragePadded,  // the padding counts as zeros
  Lp              // (sum |x|^p)^(1/p)
};

// Pooling of [N,C,spatial...] with concrete sizes. Arrays hold three spatial dimensions; for tensors with fewer the
// first ones are 1 (and their pads 0).
struct PoolShape {
  using Spatial = std::array<int64_t, 3>;
  PoolKind kind = PoolKind::Max;
  int64_t p = 2;  // of Lp
  int64_t batch = 0, channels = 0;
  Spatial in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad_begin{}, pad_end{};

  int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
  // Taps that one output reads at most. Attributes alone may make the kernel far larger than the input.
  int64_t taps() const {
    int64_t product = 1;
    for (size_t i = 0; i < 3; ++i) product *= std::min(kernel[i], in[i]);
    return product;
  }

  // What of the window at `at` lies inside the input along one axis: taps [first, last) of the kernel, the position of
  // tap 0, and how many taps lie inside the padded input.
  struct Reach {
    int64_t first, last, origin, padded;
  };
  Reach reach(int axis, int64_t at) const;
};

// Row-major tensors of float, double, Float16, BFloat16, and for Max also int8_t and uint8_t.
// `indices` (Max only, or nullptr) receives the position of each maximum in the whole source, spatial positions counted
// column-major where `column_major` is set; -1 for a window that lies in the padding alone.
template <class T>
void pool(const PoolShape& shape, const T* src, T* dst, int64_t* indices, bool column_major, const Parallel& parallel);

// float32 in the layouts C8, C16 and Nhwc; no indices.
void pool_vector(const PoolShape& shape, Layout layout, const float* src, float* dst, const Parallel& parallel);

// Max or Average over all pixels of row-major float32 tensors.
void pool_global(const PoolShape& shape, const float* src, float* dst, const Parallel& parallel);

}  // namespace fastort::kernels
