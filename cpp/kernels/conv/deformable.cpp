#include "kernels/conv/deformable.h"

#include <atomic>
#include <cmath>

#include "tensor/dispatch.h"

namespace fastort::kernels {
namespace {

template <class T>
Arithmetic<T> sample(const T* plane, int64_t height, int64_t width, Arithmetic<T> y, Arithmetic<T> x) {
  using W = Arithmetic<T>;
  // Written so that NaN is outside.
  if (!(y > -1 && y < static_cast<W>(height) && x > -1 && x < static_cast<W>(width))) return 0;
  const W top = std::floor(y), left = std::floor(x), dy = y - top, dx = x - left;
  const auto y0 = static_cast<int64_t>(top), x0 = static_cast<int64_t>(left);
  const auto at = [&](int64_t i, int64_t j) {
    return i >= 0 && i < height && j >= 0 && j < width ? widened(plane[i * width + j]) : W{0};
  };
  return (1 - dy) * ((1 - dx) * at(y0, x0) + dx * at(y0, x0 + 1)) +
         dy * ((1 - dx) * at(y0 + 1, x0) + dx * at(y0 + 1, x0 + 1));
}

// The samples of one output pixel for all channels and taps.
template <class T>
void gather(const ConvShape& s, int64_t offset_groups, const DeformableArgs<T>& args, int64_t n, int64_t oy, int64_t ox,
            Arithmetic<T>* samples) {
  using W = Arithmetic<T>;
  const int64_t taps = s.taps(), pixels = s.out_pixels(), at = oy * s.out[1] + ox;
  const int64_t channels = s.in_channels / offset_groups;
  for (int64_t g = 0; g < offset_groups; ++g) {
    const int64_t first = (n * offset_groups + g) * taps;
    for (int64_t k = 0; k < taps; ++k) {
      const T* offset = args.offset + (first + k) * 2 * pixels + at;
      const W y =
          static_cast<W>(oy * s.stride[0] - s.pad_begin[0] + k / s.kernel[1] * s.dilation[0]) + widened(offset[0]);
      const W x =
          static_cast<W>(ox * s.stride[1] - s.pad_begin[1] + k % s.kernel[1] * s.dilation[1]) + widened(offset[pixels]);
      const W scale = args.mask ? widened(args.mask[(first + k) * pixels + at]) : W{1};
      for (int64_t c = g * channels; c < (g + 1) * channels; ++c) {
        const T* plane = args.src + (n * s.in_channels + c) * s.in_pixels();
        samples[c * taps + k] = scale * sample(plane, s.in[0], s.in[1], y, x);
      }
    }
  }
}

}  // namespace

size_t deformable_workspace_bytes(const ConvShape& shape, int threads) {
  return static_cast<size_t>(threads * shape.in_channels * shape.taps()) * sizeof(double);
}

template <class T>
void conv_deformable(const ConvShape& s, int64_t offset_groups, const DeformableArgs<T>& args, std::byte* workspace,
                     int threads, const Parallel& parallel) {
  using W = Arithmetic<T>;
  const int64_t depth = s.in_group() * s.taps(), rows = s.batch * s.out[0];
  std::atomic<int64_t> next{0};
  parallel.chunks(static_cast<int>(std::min<int64_t>(threads, rows)), [&](int slot) {
    W* samples = reinterpret_cast<W*>(workspace) + slot * s.in_channels * s.taps();
    for (int64_t row = next++; row < rows; row = next++) {
      const int64_t n = row / s.out[0], oy = row % s.out[0];
      for (int64_t ox = 0; ox < s.out[1]; ++ox) {
        gather(s, offset_groups, args, n, oy, ox, samples);
        for (int64_t m = 0; m < s.out_channels; ++m) {
          const T* weights = args.weights + m * depth;
          const W* from = samples + m / s.out_group() * depth;
          W sum = args.bias ? widened(args.bias[m]) : W{0};
          for (int64_t i = 0; i < depth; ++i) sum += widened(weights[i]) * from[i];
          args.dst[(n * s.out_channels + m) * s.out_pixels() + oy * s.out[1] + ox] = rounded<T>(sum);
        }
      }
    }
  });
}

template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<float>&, std::byte*, int,
                              const Parallel&);
template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<double>&, std::byte*, int,
                              const Parallel&);
template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<Float16>&, std::byte*, int,
                              const Parallel&);
template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<BFloat16>&, std::byte*, int,
                              const Parallel&);

}  // namespace fastort::kernels
