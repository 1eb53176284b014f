#include "kernels/conv/depthwise.h"

#include <atomic>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/depthwise.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Plane = DepthwiseConv::Plane;

// Even columns of `src` to `even`, odd ones to `odd`.
HWY_INLINE void SplitColumns(const float* HWY_RESTRICT src, int64_t columns, float* HWY_RESTRICT even,
                             float* HWY_RESTRICT odd) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), pairs = columns / 2;
  int64_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    hn::Vec<decltype(d)> a, b;
    hn::LoadInterleaved2(d, src + 2 * i, a, b);
    hn::StoreU(a, d, even + i);
    hn::StoreU(b, d, odd + i);
  }
  for (; i < pairs; ++i) {
    even[i] = src[2 * i];
    odd[i] = src[2 * i + 1];
  }
  if (columns % 2 != 0) even[i] = src[2 * i];
}

void PadPlane(const Plane& p, const float* src, float* padded) {
  const int64_t row_size = p.phase_width * p.stride_x;
  std::memset(padded, 0, static_cast<size_t>(p.rows * row_size) * sizeof(float));
  for (int64_t y = 0; y < p.height; ++y, src += p.width) {
    if (y + p.pad_top >= p.rows) break;
    float* row = padded + (y + p.pad_top) * row_size;
    if (p.stride_x == 1) {
      std::memcpy(row + p.pad_left, src, static_cast<size_t>(std::min(p.width, row_size - p.pad_left)) * sizeof(float));
      continue;
    }
    const int64_t even_at = p.pad_left / 2, odd_at = (p.pad_left + 1) / 2;
    if (p.stride_x == 2 && (p.width + 1) / 2 + odd_at <= p.phase_width) {
      const int64_t phase = p.pad_left % 2;
      SplitColumns(src, p.width, row + phase * p.phase_width + even_at, row + (1 - phase) * p.phase_width + odd_at);
      continue;
    }
    for (int64_t phase = 0; phase < p.stride_x; ++phase) {
      // The first column with this remainder, and where it goes.
      const int64_t x = (phase + p.stride_x - p.pad_left % p.stride_x) % p.stride_x;
      const int64_t at = (x + p.pad_left) / p.stride_x;
      const int64_t count = std::min((p.width - x + p.stride_x - 1) / p.stride_x, p.phase_width - at);
      float* to = row + phase * p.phase_width + at;
      for (int64_t i = 0; i < count; ++i) to[i] = src[x + i * p.stride_x];
    }
  }
}

// A strip of `kVectors` vectors of outputs.
template <int kVectors>
HWY_INLINE void DepthwiseRow(const Plane& p, const float* HWY_RESTRICT padded, const float* HWY_RESTRICT weights,
                             float bias, const float* residual, float* HWY_RESTRICT dst) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), row_size = p.phase_width * p.stride_x;
  for (int64_t x = 0; x < p.out_width; x += kVectors * lanes) {
    hn::Vec<decltype(d)> sums[kVectors];
    for (int v = 0; v < kVectors; ++v) sums[v] = hn::Set(d, bias);
    const float* w = weights;
    for (int64_t ky = 0; ky < p.kernel_height; ++ky) {
      const float* row = padded + ky * p.dilation_y * row_size + x;
      for (int64_t kx = 0; kx < p.kernel_width; ++kx) {
        const float* from = row + p.offsets[static_cast<size_t>(kx)];
        const auto tap = hn::Set(d, *w++);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sums[v] = hn::MulAdd(tap, hn::LoadU(d, from + v * lanes), sums[v]);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = x + v * lanes;
      if (at >= p.out_width) break;
      const size_t n = static_cast<size_t>(std::min(lanes, p.out_width - at));
      if (residual) sums[v] = hn::Add(sums[v], hn::LoadN(d, residual + at, n));
      if (n == static_cast<size_t>(lanes))
        hn::StoreU(sums[v], d, dst + at);
      else
        hn::StoreN(sums[v], d, dst + at, n);
    }
  }
}

void DepthwisePlane(const Plane& p, const float* HWY_RESTRICT padded, const float* HWY_RESTRICT weights, float bias,
                    const float* residual, float* HWY_RESTRICT dst) {
  const int64_t vectors = (p.out_width + static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>())) - 1) /
                          static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  for (int64_t y = 0; y < p.out_height; ++y) {
    const float* row = padded + y * p.stride_y * p.phase_width * p.stride_x;
    const float* add = residual ? residual + y * p.out_width : nullptr;
    float* out = dst + y * p.out_width;
    if (vectors == 1)
      DepthwiseRow<1>(p, row, weights, bias, add, out);
    else if (vectors == 2)
      DepthwiseRow<2>(p, row, weights, bias, add, out);
    else
      DepthwiseRow<4>(p, row, weights, bias, add, out);
  }
  activate_array(hn::ScalableTag<float>(), p.activation, dst, p.out_height * p.out_width);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(PadPlane);
HWY_EXPORT(DepthwisePlane);

namespace {

// Outputs that are computed together, in the widest vectors; narrow rows take one or two vectors.
constexpr int64_t kRun = 64, kVector = 16;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

DepthwiseConv::DepthwiseConv(const ConvShape& shape, const ConvEpilogue& epilogue, int threads)
    : epilogue_(epilogue),
      planes_(shape.batch * shape.in_channels),
      channels_(shape.in_channels),
      threads_(static_cast<int>(std::min<int64_t>(threads, planes_))) {
  const bool flat = shape.rank == 1;
  const auto y = [&](const ConvShape::Spatial& s, int64_t one) { return flat ? one : s[0]; };
  const auto x = [&](const ConvShape::Spatial& s) { return flat ? s[0] : s[1]; };
  Plane& p = plane_;
  p.height = y(shape.in, 1), p.width = x(shape.in), p.out_height = y(shape.out, 1), p.out_width = x(shape.out);
  p.kernel_height = y(shape.kernel, 1), p.kernel_width = x(shape.kernel);
  p.stride_y = y(shape.stride, 1), p.stride_x = x(shape.stride);
  p.dilation_y = y(shape.dilation, 1), p.dilation_x = x(shape.dilation);
  p.pad_top = y(shape.pad_begin, 0), p.pad_left = x(shape.pad_begin);
  p.rows = (p.out_height - 1) * p.stride_y + (p.kernel_height - 1) * p.dilation_y + 1;
  const int64_t run = p.out_width <= kVector ? 2 * kVector : kRun;
  const int64_t columns = ceil_div(p.out_width, run) * run + (p.kernel_width - 1) * p.dilation_x / p.stride_x + 1;
  p.phase_width = ceil_div(std::max(columns, ceil_div(p.pad_left + 1, p.stride_x)), kVector) * kVector;
  for (int64_t kx = 0; kx < p.kernel_width; ++kx)
    p.offsets.push_back(kx * p.dilation_x % p.stride_x * p.phase_width + kx * p.dilation_x / p.stride_x);
  p.activation = epilogue.activation;
}

size_t DepthwiseConv::workspace_bytes() const {
  return static_cast<size_t>(threads_ * plane_.rows * plane_.phase_width * plane_.stride_x) * sizeof(float);
}

void DepthwiseConv::run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
                        float* workspace, const Parallel& parallel) const {
  const Plane& p = plane_;
  const int64_t scratch = p.rows * p.phase_width * p.stride_x, taps = p.kernel_height * p.kernel_width;
  const int64_t in_size = p.height * p.width, out_size = p.out_height * p.out_width;
  // Planes taken at a time, about 10 us of work.
  const int64_t some = std::max<int64_t>(1, 65536 / std::max<int64_t>(out_size * taps + scratch, 1));
  std::atomic<int64_t> next{0};
  const int64_t slots = std::min<int64_t>(threads_, ceil_div(planes_, some));
  parallel.chunks(static_cast<int>(slots), [&](int slot) {
    float* padded = workspace + slot * scratch;
    for (int64_t first = next.fetch_add(some); first < planes_; first = next.fetch_add(some)) {
      for (int64_t i = first; i < std::min(first + some, planes_); ++i) {
        const int64_t c = i % channels_;
        HWY_DYNAMIC_DISPATCH(PadPlane)(p, src + i * in_size, padded);
        HWY_DYNAMIC_DISPATCH(DepthwisePlane)
        (p, padded, weights + c * taps, epilogue_.bias ? bias[c] : 0.0f,
         epilogue_.residual ? residual + i * out_size : nullptr, dst + i * out_size);
      }
    }
  });
}

}  // namespace fastort::kernels
#endif
