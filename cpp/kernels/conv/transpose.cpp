#include "kernels/conv/transpose.h"

#include <algorithm>

#include "kernels/conv/grid.h"
#include "tensor/dispatch.h"

namespace fastort::kernels {
namespace {

// The input position whose tap `k` reaches output `at`, or -1.
int64_t source(const Grid& g, size_t axis, int64_t at, int64_t k) {
  const int64_t scaled = at + g.pad[axis] - k * g.dilation[axis];
  if (scaled < 0 || scaled % g.stride[axis] != 0) return -1;
  const int64_t i = scaled / g.stride[axis];
  return i < g.in[axis] ? i : -1;
}

// Adds weight * row[i] to sums[i * stride + offset - first] for the inputs whose outputs lie in [first, first + count).
template <class T, class W>
void scatter_row(const T* row, int64_t width, W weight, int64_t stride, int64_t offset, int64_t first, int64_t count,
                 W* sums) {
  const int64_t begin = std::max<int64_t>(0, offset >= first ? 0 : (first - offset + stride - 1) / stride);
  const int64_t end = first + count <= offset ? 0 : std::min(width, (first + count - offset + stride - 1) / stride);
  W* to = sums + offset - first;
  if (stride == 1) {
    for (int64_t i = begin; i < end; ++i) to[i] += weight * widened(row[i]);
  } else {
    for (int64_t i = begin; i < end; ++i) to[i * stride] += weight * widened(row[i]);
  }
}

// Outputs of a row whose sums are kept together.
constexpr int64_t kRun = 128;

}  // namespace

template <class T>
void conv_transpose_reference(const ConvShape& shape, const T* src, const T* weights, const T* bias, T* dst,
                              const Parallel& parallel) {
  const Grid g(shape);
  const int64_t rows = g.out[0] * g.out[1], taps = shape.taps(), in_pixels = shape.in_pixels();
  const int64_t in_group = shape.in_group(), out_group = shape.out_group();
  const int64_t row_cost = std::max<int64_t>(g.in[2] * in_group * taps, 1);
  parallel.range(shape.batch * shape.out_channels * rows, 16384 / row_cost, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t y = job % g.out[1], z = job / g.out[1] % g.out[0];
      const int64_t m = job / rows % shape.out_channels, n = job / rows / shape.out_channels;
      const int64_t group = m / out_group;
      for (int64_t first = 0; first < g.out[2]; first += kRun) {
        const int64_t count = std::min(kRun, g.out[2] - first);
        Arithmetic<T> sums[kRun];
        std::fill(sums, sums + count, bias ? widened(bias[m]) : Arithmetic<T>{});
        for (int64_t kz = 0; kz < g.kernel[0]; ++kz) {
          const int64_t iz = source(g, 0, z, kz);
          for (int64_t ky = 0; iz >= 0 && ky < g.kernel[1]; ++ky) {
            const int64_t iy = source(g, 1, y, ky);
            if (iy < 0) continue;
            for (int64_t c = 0; c < in_group; ++c) {
              const int64_t channel = group * in_group + c;
              const T* row = src + (n * shape.in_channels + channel) * in_pixels + (iz * g.in[1] + iy) * g.in[2];
              const T* tap =
                  weights + (channel * out_group + m % out_group) * taps + (kz * g.kernel[1] + ky) * g.kernel[2];
              for (int64_t kx = 0; kx < g.kernel[2]; ++kx)
                scatter_row(row, g.in[2], widened(tap[kx]), g.stride[2], kx * g.dilation[2] - g.pad[2], first, count,
                            sums);
            }
          }
        }
        T* to = dst + job * g.out[2] + first;
        for (int64_t i = 0; i < count; ++i) to[i] = rounded<T>(sums[i]);
      }
    }
  });
}

template void conv_transpose_reference(const ConvShape&, const float*, const float*, const float*, float*,
                                       const Parallel&);
template void conv_transpose_reference(const ConvShape&, const double*, const double*, const double*, double*,
                                       const Parallel&);
template void conv_transpose_reference(const ConvShape&, const Float16*, const Float16*, const Float16*, Float16*,
                                       const Parallel&);
template void conv_transpose_reference(const ConvShape&, const BFloat16*, const BFloat16*, const BFloat16*, BFloat16*,
                                       const Parallel&);

void col2im(const ConvShape& shape, int64_t channels, const float* columns, const float* bias, float* dst,
            const Parallel& parallel) {
  const Grid g(shape);
  const int64_t rows = g.out[0] * g.out[1], pixels = shape.in_pixels(), taps = shape.taps();
  const int64_t row_cost = std::max<int64_t>(g.in[2] * taps, 1);
  parallel.range(channels * rows, 16384 / row_cost, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t y = job % g.out[1], z = job / g.out[1] % g.out[0], m = job / rows;
      float* to = dst + job * g.out[2];
      std::fill(to, to + g.out[2], bias ? bias[m] : 0.0f);
      for (int64_t kz = 0; kz < g.kernel[0]; ++kz) {
        const int64_t iz = source(g, 0, z, kz);
        for (int64_t ky = 0; iz >= 0 && ky < g.kernel[1]; ++ky) {
          const int64_t iy = source(g, 1, y, ky);
          if (iy < 0) continue;
          for (int64_t kx = 0; kx < g.kernel[2]; ++kx) {
            const int64_t tap = (m * g.kernel[0] + kz) * g.kernel[1] * g.kernel[2] + ky * g.kernel[2] + kx;
            scatter_row(columns + tap * pixels + (iz * g.in[1] + iy) * g.in[2], g.in[2], 1.0f, g.stride[2],
                        kx * g.dilation[2] - g.pad[2], 0, g.out[2], to);
          }
        }
      }
    }
  });
}

}  // namespace fastort::kernels
