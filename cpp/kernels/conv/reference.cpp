#include "kernels/conv/reference.h"

#include <type_traits>

namespace fastort::kernels {
namespace {

template <class T>
struct Accumulator {
  using type = float;
  static float load(T value) { return to_float(value); }
  static T store(float value) {
    if constexpr (std::is_same_v<T, Float16>)
      return to_float16(value);
    else
      return to_bfloat16(value);
  }
};
template <class T>
  requires std::is_floating_point_v<T>
struct Accumulator<T> {
  using type = T;
  static T load(T value) { return value; }
  static T store(T value) { return value; }
};

// Pixels of a row whose sums are kept together.
constexpr int64_t kRun = 64;

// Adds one kernel tap to the sums of output columns [first, first + count).
template <class T>
void add_tap(const T* row, int64_t width, typename Accumulator<T>::type weight, int64_t first, int64_t count,
             int64_t stride, int64_t offset, typename Accumulator<T>::type* sums) {
  // Columns whose source lies in the picture: 0 <= (first + i) * stride + offset < width.
  const int64_t start = first * stride + offset;
  const int64_t begin = start >= 0 ? 0 : (-start + stride - 1) / stride;
  const int64_t end = start >= width ? 0 : std::min(count, (width - start + stride - 1) / stride);
  for (int64_t i = begin; i < end; ++i) sums[i] += weight * Accumulator<T>::load(row[start + i * stride]);
}

}  // namespace

template <class T>
void conv_reference(const ConvShape& shape, const ActivationSpec& activation, const T* src, const T* weights,
                    const T* bias, const T* residual, T* dst, const Parallel& parallel) {
  using A = Accumulator<T>;
  // Seen as three spatial dimensions; the innermost is the last of the shape.
  ConvShape::Spatial in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{};
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i) {
    const size_t to = 3 - static_cast<size_t>(shape.rank) + i;
    in[to] = shape.in[i], out[to] = shape.out[i], kernel[to] = shape.kernel[i], stride[to] = shape.stride[i];
    dilation[to] = shape.dilation[i], pad[to] = shape.pad_begin[i];
  }
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
            typename A::type sums[kRun] = {};
            for (int64_t c = 0; c < in_group; ++c) {
              const T* tap = filter + c * taps;
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
                    add_tap(row, in[2], A::load(*tap++), first, count, stride[2], kx * dilation[2] - pad[2], sums);
                }
              }
            }
            const int64_t at = (job * out[2]) + first;
            for (int64_t i = 0; i < count; ++i) {
              typename A::type sum = sums[i];
              if (bias) sum += A::load(bias[m]);
              if (residual) sum += A::load(residual[at + i]);
              dst[at + i] = A::store(activate(activation, sum));
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
