#include "kernels/conv/winograd_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/winograd_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
// Inside one block of 8 channels vectors are no wider than the block.
using D8 = hn::CappedTag<float, 8>;
using V8 = hn::Vec<D8>;

constexpr float kA = 0.70710678118654752440f, kB = 1.41421356237309504880f;

// One dimension of B^T d: `get(i)` are kTile + 2 values, `put(i, v)` takes as many results.
template <int kTile, class DV, class Get, class Put>
HWY_INLINE void InputLine(DV d, Get get, Put put) {
  const auto d0 = get(0), d1 = get(1), d2 = get(2), d3 = get(3);
  if constexpr (kTile == 2) {
    put(0, hn::Sub(d0, d2));
    put(1, hn::Add(d1, d2));
    put(2, hn::Sub(d2, d1));
    put(3, hn::Sub(d3, d1));
  } else {
    const auto d4 = get(4), d5 = get(5);
    const auto c25 = hn::Set(d, 2.5f), two = hn::Set(d, 2.0f), half = hn::Set(d, 0.5f);
    put(0, hn::NegMulAdd(c25, d2, hn::Add(d0, d4)));
    const auto even_a = hn::NegMulAdd(two, d2, d4), odd_a = hn::Mul(hn::Set(d, kA), hn::NegMulAdd(two, d1, d3));
    put(1, hn::Add(even_a, odd_a));
    put(2, hn::Sub(even_a, odd_a));
    const auto even_b = hn::NegMulAdd(half, d2, d4), odd_b = hn::Mul(hn::Set(d, kB), hn::NegMulAdd(half, d1, d3));
    put(3, hn::Add(even_b, odd_b));
    put(4, hn::Sub(even_b, odd_b));
    put(5, hn::NegMulAdd(c25, d3, hn::Add(d1, d5)));
  }
}

// One dimension of A^T m: kTile + 2 values to kTile.
template <int kTile, class DV, class Get, class Put>
HWY_INLINE void OutputLine(DV d, Get get, Put put) {
  const auto m0 = get(0), m1 = get(1), m2 = get(2), m3 = get(3);
  const auto sum_a = hn::Add(m1, m2), dif_a = hn::Sub(m1, m2);
  if constexpr (kTile == 2) {
    put(0, hn::Add(m0, sum_a));
    put(1, hn::Add(m3, dif_a));
  } else {
    const auto m4 = get(4);
    const auto sum_b = hn::Add(m3, m4);
    const auto odd_a = hn::Mul(hn::Set(d, kA), dif_a), odd_b = hn::Mul(hn::Set(d, kB), hn::Sub(m3, m4));
    const auto two = hn::Set(d, 2.0f), half = hn::Set(d, 0.5f);
    put(0, hn::Add(m0, hn::Add(sum_a, sum_b)));
    put(1, hn::Add(odd_a, odd_b));
    put(2, hn::MulAdd(half, sum_a, hn::Mul(two, sum_b)));
    put(3, hn::Add(get(5), hn::MulAdd(half, odd_a, hn::Mul(two, odd_b))));
  }
}

template <int kTile>
HWY_INLINE void TransformInput(const WinogradConv::Sizes& s, const float* src, int64_t channel_block, int64_t first,
                               int64_t count, float* transformed, int64_t point_stride) {
  constexpr int kSide = kTile + 2;
  const D8 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t block = s.block, row = s.width * block;
  for (int64_t t = 0; t < count; ++t, transformed += s.in_padded) {
    const int64_t tile = first + t;
    const int64_t x = tile % s.tile_columns * kTile - s.pad_left;
    const int64_t y = tile / s.tile_columns % s.tile_rows * kTile - s.pad_top;
    const int64_t n = tile / s.tile_columns / s.tile_rows;
    const float* image = src + (n * s.in_blocks + channel_block) * s.height * row;
    // Rows and columns of the tile that lie in the picture.
    const int64_t y0 = std::clamp<int64_t>(-y, 0, kSide), y1 = std::clamp<int64_t>(s.height - y, 0, kSide);
    const int64_t x0 = std::clamp<int64_t>(-x, 0, kSide), x1 = std::clamp<int64_t>(s.width - x, 0, kSide);
    const bool inside = y0 == 0 && y1 == kSide && x0 == 0 && x1 == kSide;
    for (int64_t lane = 0; lane < block; lane += lanes) {
      HWY_ALIGN float half[kSide * kSide * 8];
      if (inside) {
        const float* at = image + y * row + x * block + lane;
        for (int i = 0; i < kSide; ++i, at += row)
          InputLine<kTile>(
              d, [&](int j) { return hn::LoadU(d, at + j * block); },
              [&](int j, V8 v) { hn::Store(v, d, half + (i * kSide + j) * 8); });
      } else {
        for (int i = 0; i < kSide; ++i) {
          const float* at = image + (y + i) * row + x * block + lane;
          const bool in_row = i >= y0 && i < y1;
          InputLine<kTile>(
              d, [&](int j) { return in_row && j >= x0 && j < x1 ? hn::LoadU(d, at + j * block) : hn::Zero(d); },
              [&](int j, V8 v) { hn::Store(v, d, half + (i * kSide + j) * 8); });
        }
      }
      float* to = transformed + lane;
      for (int j = 0; j < kSide; ++j)
        InputLine<kTile>(
            d, [&](int i) { return hn::Load(d, half + (i * kSide + j) * 8); },
            [&](int i, V8 v) { hn::StoreU(v, d, to + (i * kSide + j) * point_stride); });
    }
  }
}

void WinogradInput(const WinogradConv::Sizes& s, const float* src, int64_t channel_block, int64_t first, int64_t count,
                   float* transformed, int64_t point_stride) {
  if (s.tile == 2)
    TransformInput<2>(s, src, channel_block, first, count, transformed, point_stride);
  else
    TransformInput<4>(s, src, channel_block, first, count, transformed, point_stride);
}

// Vectors of a panel, and tiles whose sums stay in registers beside them.
constexpr int kVectors = kWinogradPanel * sizeof(float) <= HWY_MAX_BYTES ? 1 : kWinogradPanel * 4 / HWY_MAX_BYTES;
constexpr int kTiles = kVectors == 1 ? 12 : kVectors == 2 ? 6 : 3;

template <int kCount>
HWY_INLINE void MultiplyTiles(const float* HWY_RESTRICT weights, const float* HWY_RESTRICT transformed,
                              int64_t channels, float* HWY_RESTRICT products) {
  const D d;
  constexpr int kLanes = kWinogradPanel / kVectors;
  V sums[kCount][kVectors];
  for (int t = 0; t < kCount; ++t)
    for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::Zero(d);
  for (int64_t c = 0; c < channels; ++c) {
    V w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = hn::Load(d, weights + c * kWinogradPanel + v * kLanes);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) {
      const V x = hn::Set(d, transformed[t * channels + c]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::MulAdd(w[v], x, sums[t][v]);
    }
  }
  for (int t = 0; t < kCount; ++t)
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[t][v], d, products + t * kWinogradPanel + v * kLanes);
}

template <int kCount>
HWY_INLINE void MultiplyRest(const float* weights, const float* transformed, int64_t channels, int64_t count,
                             float* products) {
  if constexpr (kCount > 0) {
    if (count == kCount) return MultiplyTiles<kCount>(weights, transformed, channels, products);
    MultiplyRest<kCount - 1>(weights, transformed, channels, count, products);
  }
}

void WinogradMultiply(const WinogradConv::Sizes& s, const float* weights, int64_t weights_stride,
                      const float* transformed, int64_t point_stride, int64_t count, float* products,
                      int64_t product_stride) {
  const int64_t channels = s.in_padded;
  const int points = s.points();
  for (int p = 0; p < points; ++p) {
    int64_t t = 0;
    for (; t + kTiles <= count; t += kTiles)
      MultiplyTiles<kTiles>(weights, transformed + t * channels, channels, products + t * kWinogradPanel);
    MultiplyRest<kTiles - 1>(weights, transformed + t * channels, channels, count - t, products + t * kWinogradPanel);
    weights += weights_stride;
    transformed += point_stride;
    products += product_stride;
  }
}

template <int kTile>
HWY_INLINE void TransformOutput(const WinogradConv::Sizes& s, const float* products, int64_t product_stride,
                                int64_t panel, int64_t first, int64_t count, const float* bias, const float* residual,
                                float* dst) {
  constexpr int kSide = kTile + 2;
  const D8 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t block = s.block, row = s.out_width * block;
  const V8 zero = hn::Zero(d);
  const bool relu = s.activation.kind == Activation::Relu;
  const bool other = !relu && s.activation.kind != Activation::None;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t tile = first + t;
    const int64_t x = tile % s.tile_columns * kTile, y = tile / s.tile_columns % s.tile_rows * kTile;
    const int64_t n = tile / s.tile_columns / s.tile_rows;
    const int64_t rows = std::min<int64_t>(kTile, s.out_height - y);
    const int64_t columns = std::min<int64_t>(kTile, s.out_width - x);
    for (int64_t lane = 0; lane < kWinogradPanel; lane += lanes) {
      const int64_t channel = panel * kWinogradPanel + lane;
      if (channel >= s.out_blocks * block) break;
      const float* from = products + t * kWinogradPanel + lane;
      HWY_ALIGN float half[kTile * kSide * 8], out[kTile * kTile * 8];
      for (int j = 0; j < kSide; ++j)
        OutputLine<kTile>(
            d, [&](int i) { return hn::Load(d, from + (i * kSide + j) * product_stride); },
            [&](int i, V8 v) { hn::Store(v, d, half + (i * kSide + j) * 8); });
      // Lanes behind the last channel stay zero whatever the activation makes of zero.
      const int64_t left = std::clamp<int64_t>(s.out_channels - channel, 0, lanes);
      const V8 shift = bias ? hn::LoadN(d, bias + std::min(channel, s.out_channels), static_cast<size_t>(left)) : zero;
      const int64_t at = ((n * s.out_blocks + channel / block) * s.out_height + y) * row + x * block + channel % block;
      for (int i = 0; i < rows; ++i) {
        OutputLine<kTile>(
            d, [&](int j) { return hn::Load(d, half + (i * kSide + j) * 8); },
            [&](int j, V8 v) { hn::Store(hn::Add(v, shift), d, out + (i * kTile + j) * 8); });
        if (residual)
          for (int64_t j = 0; j < columns; ++j) {
            float* o = out + (i * kTile + j) * 8;
            hn::Store(hn::Add(hn::Load(d, o), hn::LoadU(d, residual + at + i * row + j * block)), d, o);
          }
      }
      if (other)
        for (int64_t i = 0; i < kTile * kTile; ++i) activate_array(d, s.activation, out + i * 8, lanes);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
          V8 v = hn::Load(d, out + (i * kTile + j) * 8);
          if (relu) v = hn::Max(zero, v);
          if (left < lanes) v = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(left)), v);
          hn::StoreU(v, d, dst + at + i * row + j * block);
        }
    }
  }
}

void WinogradOutput(const WinogradConv::Sizes& s, const float* products, int64_t product_stride, int64_t panel,
                    int64_t first, int64_t count, const float* bias, const float* residual, float* dst) {
  if (s.tile == 2)
    TransformOutput<2>(s, products, product_stride, panel, first, count, bias, residual, dst);
  else
    TransformOutput<4>(s, products, product_stride, panel, first, count, bias, residual, dst);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(WinogradInput);
HWY_EXPORT(WinogradMultiply);
HWY_EXPORT(WinogradOutput);

void winograd_input(const WinogradConv::Sizes& sizes, const float* src, int64_t channel_block, int64_t first,
                    int64_t count, float* transformed, int64_t point_stride) {
  HWY_DYNAMIC_DISPATCH(WinogradInput)(sizes, src, channel_block, first, count, transformed, point_stride);
}

void winograd_multiply(const WinogradConv::Sizes& sizes, const float* weights, int64_t weights_stride,
                       const float* transformed, int64_t point_stride, int64_t count, float* products,
                       int64_t product_stride) {
  HWY_DYNAMIC_DISPATCH(WinogradMultiply)
  (sizes, weights, weights_stride, transformed, point_stride, count, products, product_stride);
}

void winograd_output(const WinogradConv::Sizes& sizes, const float* products, int64_t product_stride, int64_t panel,
                     int64_t first, int64_t count, const float* bias, const float* residual, float* dst) {
  HWY_DYNAMIC_DISPATCH(WinogradOutput)
  (sizes, products, product_stride, panel, first, count, bias, residual, dst);
}

}  // namespace fastort::kernels
#endif
