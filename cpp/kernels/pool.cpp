#include "kernels/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/dispatch.h"

namespace fastort::kernels {
namespace {

template <class T>
Arithmetic<T> lowest() {
  if constexpr (std::is_integral_v<T>)
    return std::numeric_limits<T>::lowest();
  else
    return -std::numeric_limits<Arithmetic<T>>::infinity();
}

template <class W>
W power(W x, int64_t p) {
  x = x < 0 ? -x : x;
  if (p == 1) return x;
  if (p == 2) return x * x;
  return static_cast<W>(std::pow(x, static_cast<W>(p)));
}

template <class W>
W root(W x, int64_t p) {
  if (p == 1) return x;
  if (p == 2) return static_cast<W>(std::sqrt(static_cast<double>(x)));
  return static_cast<W>(std::pow(static_cast<double>(x), 1.0 / static_cast<double>(p)));
}

// One output pixel of one channel. `best` receives the position of the maximum in the channel's pixels.
template <class T>
Arithmetic<T> pool_one(const PoolShape& s, const T* channel, const PoolShape::Reach& z, const PoolShape::Reach& y,
                       const PoolShape::Reach& x, int64_t* best) {
  Arithmetic<T> sum = s.kind == PoolKind::Max ? lowest<T>() : Arithmetic<T>{};
  *best = -1;
  for (int64_t kz = z.first; kz < z.last; ++kz) {
    const int64_t iz = z.origin + kz * s.dilation[0];
    for (int64_t ky = y.first; ky < y.last; ++ky) {
      const int64_t row = (iz * s.in[1] + y.origin + ky * s.dilation[1]) * s.in[2] + x.origin;
      for (int64_t kx = x.first; kx < x.last; ++kx) {
        const int64_t at = row + kx * s.dilation[2];
        const Arithmetic<T> value = widened(channel[at]);
        if (s.kind == PoolKind::Max) {
          // The first NaN stays.
          if (*best < 0 || (sum == sum && !(value <= sum))) {
            sum = value;
            *best = at;
          }
        } else if (s.kind == PoolKind::Lp) {
          sum += power(value, s.p);
        } else {
          sum += value;
        }
      }
    }
  }
  if (s.kind == PoolKind::Max) return sum;
  if (s.kind == PoolKind::Lp) return root(sum, s.p);
  const int64_t count = s.kind == PoolKind::AveragePadded
                            ? z.padded * y.padded * x.padded
                            : (z.last - z.first) * (y.last - y.first) * (x.last - x.first);
  return count > 0 ? sum / static_cast<Arithmetic<T>>(count) : Arithmetic<T>{};
}

}  // namespace

PoolShape::Reach PoolShape::reach(int axis, int64_t at) const {
  const auto a = static_cast<size_t>(axis);
  const int64_t origin = at * stride[a] - pad_begin[a], step = dilation[a];
  if (origin >= 0 && origin + (kernel[a] - 1) * step < in[a]) return {0, kernel[a], origin, kernel[a]};
  const auto taps_below = [&](int64_t limit) {
    return limit <= origin ? 0 : std::min(kernel[a], (limit - origin + step - 1) / step);
  };
  const int64_t first = taps_below(0), last = std::max(first, taps_below(in[a]));
  return {first, last, origin, taps_below(in[a] + pad_end[a])};
}

template <class T>
void pool(const PoolShape& s, const T* src, T* dst, int64_t* indices, bool column_major, const Parallel& parallel) {
  const int64_t rows = s.out[0] * s.out[1];
  const int64_t row_cost = std::max<int64_t>(s.out[2] * s.taps(), 1);
  parallel.range(s.batch * s.channels * rows, 8192 / row_cost, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const auto z = s.reach(0, job % rows / s.out[1]), y = s.reach(1, job % s.out[1]);
      const int64_t base = job / rows * s.in_pixels();
      for (int64_t i = 0; i < s.out[2]; ++i) {
        int64_t best;
        dst[job * s.out[2] + i] = rounded<T>(pool_one(s, src + base, z, y, s.reach(2, i), &best));
        if (!indices) continue;
        if (column_major && best >= 0) {
          const int64_t bx = best % s.in[2], by = best / s.in[2] % s.in[1], bz = best / s.in[2] / s.in[1];
          best = bz + s.in[0] * (by + s.in[1] * bx);
        }
        indices[job * s.out[2] + i] = best < 0 ? -1 : base + best;
      }
    }
  });
}

template void pool(const PoolShape&, const float*, float*, int64_t*, bool, const Parallel&);
template void pool(const PoolShape&, const double*, double*, int64_t*, bool, const Parallel&);
template void pool(const PoolShape&, const Float16*, Float16*, int64_t*, bool, const Parallel&);
template void pool(const PoolShape&, const BFloat16*, BFloat16*, int64_t*, bool, const Parallel&);
template void pool(const PoolShape&, const int8_t*, int8_t*, int64_t*, bool, const Parallel&);
template void pool(const PoolShape&, const uint8_t*, uint8_t*, int64_t*, bool, const Parallel&);

}  // namespace fastort::kernels
