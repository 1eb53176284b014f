#include "kernels/conv/integer.h"

#include <algorithm>

#include "kernels/conv/grid.h"

namespace fastort::kernels {
namespace {

// Pixels of a row whose sums are kept together.
constexpr int64_t kRun = 128;

}  // namespace

template <class T, class W>
void conv_integer(const ConvShape& shape, const T* src, const W* weights, const ConvZeroPoints<W>& zero,
                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)> store, const Parallel& parallel) {
  const Grid grid(shape);
  const auto& out = grid.out;
  const int64_t in_pixels = shape.in_pixels(), rows = out[0] * out[1], taps = shape.taps();
  const int64_t in_group = shape.in_group(), out_group = shape.out_group();
  const int64_t row_cost = std::max<int64_t>(out[2] * in_group * taps, 1);
  parallel.range(shape.batch * shape.out_channels * rows, 16384 / row_cost, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t y = job % out[1], z = job / out[1] % out[0];
      const int64_t m = job / rows % shape.out_channels, n = job / rows / shape.out_channels;
      const T* image = src + (n * shape.in_channels + m / out_group * in_group) * in_pixels;
      const W* filter = weights + m * in_group * taps;
      const int32_t filter_zero = zero.weights ? zero.weights[zero.per_channel ? m : 0] : 0;
      for (int64_t first = 0; first < out[2]; first += kRun) {
        const int64_t count = std::min(kRun, out[2] - first);
        uint32_t sums[kRun] = {};
        for (int64_t c = 0; c < in_group; ++c) {
          grid.for_each_tap(z, y, [&](int64_t tap, int64_t row, int64_t offset) {
            // Padding stands for the zero point and adds nothing. Unsigned, because sums may wrap around as the
            // standard's int32 does.
            const int32_t weight = static_cast<int32_t>(filter[c * taps + tap]) - filter_zero;
            const T* from = image + c * in_pixels + row;
            grid.for_each_column(first, count, offset, [&](int64_t i, int64_t column) {
              sums[i] += static_cast<uint32_t>((static_cast<int32_t>(from[column]) - zero.src) * weight);
            });
          });
        }
        store(m, job * out[2] + first, reinterpret_cast<const int32_t*>(sums), count);
      }
    }
  });
}

template void conv_integer(const ConvShape&, const uint8_t*, const uint8_t*, const ConvZeroPoints<uint8_t>&,
                           FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);
template void conv_integer(const ConvShape&, const uint8_t*, const int8_t*, const ConvZeroPoints<int8_t>&,
                           FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);
template void conv_integer(const ConvShape&, const int8_t*, const uint8_t*, const ConvZeroPoints<uint8_t>&,
                           FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);
template void conv_integer(const ConvShape&, const int8_t*, const int8_t*, const ConvZeroPoints<int8_t>&,
                           FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);

}  // namespace fastort::kernels
