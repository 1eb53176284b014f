#include "kernels/conv/integer.h"

#include <algorithm>

namespace fastort::kernels {
namespace {

// Pixels of a row whose sums are kept together.
constexpr int64_t kRun = 128;

// Adds one kernel tap to the sums of output columns [first, first + count); padding stands for the zero point and adds
// nothing. Unsigned, because sums may wrap around as the standard's int32 does.
template <class T>
void add_tap(const T* row, int64_t width, int32_t zero, int32_t weight, int64_t first, int64_t count, int64_t stride,
             int64_t offset, uint32_t* sums) {
  const int64_t start = first * stride + offset;
  const int64_t begin = start >= 0 ? 0 : (-start + stride - 1) / stride;
  const int64_t end = start >= width ? 0 : std::min(count, (width - start + stride - 1) / stride);
  for (int64_t i = begin; i < end; ++i)
    sums[i] += static_cast<uint32_t>((static_cast<int32_t>(row[start + i * stride]) - zero) * weight);
}

}  // namespace

template <class T, class W>
void conv_integer(const ConvShape& shape, const T* src, const W* weights, const ConvZeroPoints<W>& zero,
                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)> store, const Parallel& parallel) {
  ConvShape::Spatial in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{};
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i) {
    const size_t to = 3 - static_cast<size_t>(shape.rank) + i;
    in[to] = shape.in[i], out[to] = shape.out[i], kernel[to] = shape.kernel[i], stride[to] = shape.stride[i];
    dilation[to] = shape.dilation[i], pad[to] = shape.pad_begin[i];
  }
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
          const W* tap = filter + c * taps;
          for (int64_t kz = 0; kz < kernel[0]; ++kz) {
            const int64_t sz = z * stride[0] + kz * dilation[0] - pad[0];
            for (int64_t ky = 0; ky < kernel[1]; ++ky) {
              const int64_t sy = y * stride[1] + ky * dilation[1] - pad[1];
              if (sz < 0 || sz >= in[0] || sy < 0 || sy >= in[1]) {
                tap += kernel[2];
                continue;
              }
              const T* row = image + c * in_pixels + (sz * in[1] + sy) * in[2];
              for (int64_t kx = 0; kx < kernel[2]; ++kx)
                add_tap(row, in[2], zero.src, static_cast<int32_t>(*tap++) - filter_zero, first, count, stride[2],
                        kx * dilation[2] - pad[2], sums);
            }
          }
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
