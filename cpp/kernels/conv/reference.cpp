#include "kernels/conv/reference.h"

#include <algorithm>

#include "kernels/conv/grid.h"
#include "tensor/dispatch.h"

namespace fastort::kernels {
namespace {

// Pixels of a row whose sums are kept together.
constexpr int64_t kRun = 64;

}  // namespace

template <class T>
void conv_reference(const ConvShape& shape, const ActivationSpec& activation, const T* src, const T* weights,
                    const T* bias, const T* residual, T* dst, const Parallel& parallel) {
  const Grid grid(shape);
  const auto& out = grid.out;
  const int64_t in_pixels = shape.in_pixels(), rows = out[0] * out[1], taps = shape.taps();
  const int64_t in_group = shape.in_group(), out_group = shape.out_group();
  const int64_t row_cost = std::max<int64_t>(out[2] * in_group * taps, 1);
  parallel.range(
      shape.batch * shape.out_channels * rows, std::max<int64_t>(16384 / row_cost, 1), [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; ++job) {
          const int64_t y = job % out[1], z = job / out[1] % out[0];
          const int64_t m = job / rows % shape.out_channels, n = job / rows / shape.out_channels;
          const T* image = src + (n * shape.in_channels + m / out_group * in_group) * in_pixels;
          const T* filter = weights + m * in_group * taps;
          for (int64_t first = 0; first < out[2]; first += kRun) {
            const int64_t count = std::min(kRun, out[2] - first);
            Arithmetic<T> sums[kRun] = {};
            for (int64_t c = 0; c < in_group; ++c) {
              grid.for_each_tap(z, y, [&](int64_t tap, int64_t row, int64_t offset) {
                const Arithmetic<T> weight = widened(filter[c * taps + tap]);
                const T* from = image + c * in_pixels + row;
                grid.for_each_column(first, count, offset,
                                     [&](int64_t i, int64_t column) { sums[i] += weight * widened(from[column]); });
              });
            }
            const int64_t at = (job * out[2]) + first;
            for (int64_t i = 0; i < count; ++i) {
              Arithmetic<T> sum = sums[i];
              if (bias) sum += widened(bias[m]);
              if (residual) sum += widened(residual[at + i]);
              dst[at + i] = rounded<T>(activate(activation, sum));
            }
          }
        }
      });
}

template void conv_reference(const ConvShape&, const ActivationSpec&, const float*, const float*, const float*,
                             const float*, float*, const Parallel&);
template void conv_reference(const ConvShape&, const ActivationSpec&, const double*, const double*, const double*,
                             const double*, double*, const Parallel&);
template void conv_reference(const ConvShape&, const ActivationSpec&, const Float16*, const Float16*, const Float16*,
                             const Float16*, Float16*, const Parallel&);
template void conv_reference(const ConvShape&, const ActivationSpec&, const BFloat16*, const BFloat16*, const BFloat16*,
                             const BFloat16*, BFloat16*, const Parallel&);

}  // namespace fastort::kernels
