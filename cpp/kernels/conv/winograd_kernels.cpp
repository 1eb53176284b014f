#include "kernels/conv/winograd_kernels.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/winograd_kernels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"
#include "kernels/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
// Inside one block of 8 or 16 channels vectors are no wider than the block.
template <int kBlock>
using Tag = hn::CappedTag<float, kBlock>;
template <int kBlock>
using Vector = hn::Vec<Tag<kBlock>>;

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

template <int kTile, int kBlock>
HWY_INLINE void TransformInput(const WinogradConv::Sizes& s, const float* src, int64_t channel_block, int64_t first,
                               int64_t count, float* transformed, int64_t point_stride) {
  constexpr int kSide = kTile + 2;
  const Tag<kBlock> d;
  using VB = Vector<kBlock>;
  constexpr int64_t lanes = hn::MaxLanes(d), block = kBlock;
  const int64_t row = s.width * block;
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
      HWY_ALIGN float half[kSide * kSide * lanes];
      if (inside) {
        const float* at = image + y * row + x * block + lane;
        for (int i = 0; i < kSide; ++i, at += row)
          InputLine<kTile>(
              d, [&](int j) { return hn::LoadU(d, at + j * block); },
              [&](int j, VB v) { hn::Store(v, d, half + (i * kSide + j) * lanes); });
      } else {
        for (int i = 0; i < kSide; ++i) {
          const float* at = image + (y + i) * row + x * block + lane;
          const bool in_row = i >= y0 && i < y1;
          InputLine<kTile>(
              d, [&](int j) { return in_row && j >= x0 && j < x1 ? hn::LoadU(d, at + j * block) : hn::Zero(d); },
              [&](int j, VB v) { hn::Store(v, d, half + (i * kSide + j) * lanes); });
        }
      }
      float* to = transformed + lane;
      for (int j = 0; j < kSide; ++j)
        InputLine<kTile>(
            d, [&](int i) { return hn::Load(d, half + (i * kSide + j) * lanes); },
            [&](int i, VB v) { hn::StoreU(v, d, to + (i * kSide + j) * point_stride); });
    }
  }
}

// Calls `f` for the sizes of tiles and of blocks.
template <class F>
HWY_INLINE void with_tile_and_block(const WinogradConv::Sizes& s, const F& f) {
  if (s.tile == 2)
    s.block == 8 ? f.template operator()<2, 8>() : f.template operator()<2, 16>();
  else
    s.block == 8 ? f.template operator()<4, 8>() : f.template operator()<4, 16>();
}

void WinogradInput(const WinogradConv::Sizes& s, const float* src, int64_t channel_block, int64_t first, int64_t count,
                   float* transformed, int64_t point_stride) {
  with_tile_and_block(s, [&]<int kTile, int kBlock>() HWY_ATTR {
    TransformInput<kTile, kBlock>(s, src, channel_block, first, count, transformed, point_stride);
  });
}

// Vectors of a panel, and tiles whose sums stay in registers beside them. Where a panel is one vector, two panels share
// what is loaded of the tiles.
constexpr int kVectors = kWinogradPanel * sizeof(float) <= HWY_MAX_BYTES ? 1 : kWinogradPanel * 4 / HWY_MAX_BYTES;
constexpr int kGroup = HWY_TARGET == HWY_AVX3 ? 2 : 1;
constexpr int kTiles = kVectors == 1 ? 12 : kVectors == 2 ? 6 : 3;

// `panel` floats lie between the weights of two panels, `products_panel` between their products. As many floats as a
// panel has at one point are brought nearer from `next`.
template <int kPanels, int kCount>
void MultiplyTiles(const float* HWY_RESTRICT weights, int64_t panel, const float* next,
                   const float* HWY_RESTRICT transformed, int64_t channels, float* HWY_RESTRICT products,
                   int64_t products_panel) {
  const D d;
  constexpr int kLanes = kWinogradPanel / kVectors, kSums = kPanels * kVectors;
  V sums[kCount][kSums];
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t)
#pragma GCC unroll 4
    for (int v = 0; v < kSums; ++v) sums[t][v] = hn::Zero(d);
  for (int64_t c = 0; c < channels; ++c) {
    bring_nearer(next + c * kWinogradPanel);
    V w[kSums];
#pragma GCC unroll 4
    for (int v = 0; v < kSums; ++v)
      w[v] = hn::Load(d, weights + v / kVectors * panel + c * kWinogradPanel + v % kVectors * kLanes);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) {
      const V x = hn::Set(d, transformed[t * channels + c]);
#pragma GCC unroll 4
      for (int v = 0; v < kSums; ++v) sums[t][v] = hn::MulAdd(w[v], x, sums[t][v]);
    }
  }
#pragma GCC unroll 12
  for (int t = 0; t < kCount; ++t)
#pragma GCC unroll 4
    for (int v = 0; v < kSums; ++v)
      hn::Store(sums[t][v], d, products + v / kVectors * products_panel + t * kWinogradPanel + v % kVectors * kLanes);
}

using MultiplyFn = void (*)(const float*, int64_t, const float*, const float*, int64_t, float*, int64_t);

template <int kPanels, int... kCounts>
HWY_INLINE void MultiplyPanels(const WinogradConv::Sizes& s, const float* weights, int64_t first_panel,
                               const float* transformed, int64_t point_stride, int64_t count, float* products,
                               int64_t product_stride, std::integer_sequence<int, kCounts...>) {
  static constexpr MultiplyFn kMultiply[] = {MultiplyTiles<kPanels, kCounts + 1>...};
  const int64_t channels = s.in_padded, weights_stride = channels * kWinogradPanel;
  const int points = s.points();
  const int64_t panel = points * weights_stride, products_panel = points * product_stride;
  const float* const all = weights;
  weights += first_panel * panel;
  // Parts of nearly the same size, so that none is too small to hide the latency of its sums: the first ones have a
  // tile more.
  const int64_t parts = (count + kTiles - 1) / kTiles, least = count / parts, larger = count % parts;
  for (int p = 0; p < points; ++p) {
    // Behind the last point of these panels lies the first one of the next; behind the last panel all begins again.
    const float* next = weights + weights_stride;
    if (p + 1 == points) next = first_panel + kPanels < s.panels ? next + (kPanels - 1) * panel : all;
    for (int64_t part = 0, tile = 0; part < parts; ++part) {
      const int64_t tiles = least + (part < larger);
      kMultiply[tiles - 1](weights, panel, part < kPanels ? next + part * panel : weights,
                           transformed + tile * channels, channels, products + tile * kWinogradPanel, products_panel);
      tile += tiles;
    }
    weights += weights_stride;
    transformed += point_stride;
    products += product_stride;
  }
}

int64_t WinogradGroup() { return kGroup; }

void WinogradMultiply(const WinogradConv::Sizes& s, const float* weights, int64_t first_panel, int64_t panels,
                      const float* transformed, int64_t point_stride, int64_t count, float* products,
                      int64_t product_stride) {
  const std::make_integer_sequence<int, kTiles> counts;
  if constexpr (kGroup == 2) {
    if (panels == 2)
      return MultiplyPanels<2>(s, weights, first_panel, transformed, point_stride, count, products, product_stride,
                               counts);
  }
  MultiplyPanels<1>(s, weights, first_panel, transformed, point_stride, count, products, product_stride, counts);
}

template <int kTile, int kBlock>
HWY_INLINE void TransformOutput(const WinogradConv::Sizes& s, const float* products, int64_t product_stride,
                                int64_t panel, int64_t first, int64_t count, const float* bias, const float* residual,
                                float* dst) {
  constexpr int kSide = kTile + 2;
  const Tag<kBlock> d;
  using VB = Vector<kBlock>;
  constexpr int64_t lanes = hn::MaxLanes(d), block = kBlock;
  const int64_t row = s.out_width * block;
  const VB zero = hn::Zero(d);
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
      HWY_ALIGN float half[kTile * kSide * lanes], out[kTile * kTile * lanes];
      for (int j = 0; j < kSide; ++j)
        OutputLine<kTile>(
            d, [&](int i) { return hn::Load(d, from + (i * kSide + j) * product_stride); },
            [&](int i, VB v) { hn::Store(v, d, half + (i * kSide + j) * lanes); });
      // Lanes behind the last channel stay zero whatever the activation makes of zero.
      const int64_t left = std::clamp<int64_t>(s.out_channels - channel, 0, lanes);
      const VB shift = bias ? hn::LoadN(d, bias + std::min(channel, s.out_channels), static_cast<size_t>(left)) : zero;
      const int64_t at = ((n * s.out_blocks + channel / block) * s.out_height + y) * row + x * block + channel % block;
      for (int i = 0; i < rows; ++i) {
        OutputLine<kTile>(
            d, [&](int j) { return hn::Load(d, half + (i * kSide + j) * lanes); },
            [&](int j, VB v) { hn::Store(hn::Add(v, shift), d, out + (i * kTile + j) * lanes); });
        if (residual)
          for (int64_t j = 0; j < columns; ++j) {
            float* o = out + (i * kTile + j) * lanes;
            hn::Store(hn::Add(hn::Load(d, o), hn::LoadU(d, residual + at + i * row + j * block)), d, o);
          }
      }
      if (other)
        for (int64_t i = 0; i < kTile * kTile; ++i) activate_array(d, s.activation, out + i * lanes, lanes);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
          VB v = hn::Load(d, out + (i * kTile + j) * lanes);
          if (relu) v = hn::Max(zero, v);
          if (left < lanes) v = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(left)), v);
          hn::StoreU(v, d, dst + at + i * row + j * block);
        }
    }
  }
}

void WinogradOutput(const WinogradConv::Sizes& s, const float* products, int64_t product_stride, int64_t panel,
                    int64_t first, int64_t count, const float* bias, const float* residual, float* dst) {
  with_tile_and_block(s, [&]<int kTile, int kBlock>() HWY_ATTR {
    TransformOutput<kTile, kBlock>(s, products, product_stride, panel, first, count, bias, residual, dst);
  });
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(WinogradInput);
HWY_EXPORT(WinogradMultiply);
HWY_EXPORT(WinogradGroup);
HWY_EXPORT(WinogradOutput);

void winograd_input(const WinogradConv::Sizes& sizes, const float* src, int64_t channel_block, int64_t first,
                    int64_t count, float* transformed, int64_t point_stride) {
  HWY_DYNAMIC_DISPATCH(WinogradInput)(sizes, src, channel_block, first, count, transformed, point_stride);
}

int64_t winograd_group() { return HWY_DYNAMIC_DISPATCH(WinogradGroup)(); }

void winograd_multiply(const WinogradConv::Sizes& sizes, const float* weights, int64_t first_panel, int64_t panels,
                       const float* transformed, int64_t point_stride, int64_t count, float* products,
                       int64_t product_stride) {
  HWY_DYNAMIC_DISPATCH(WinogradMultiply)
  (sizes, weights, first_panel, panels, transformed, point_stride, count, products, product_stride);
}

void winograd_output(const WinogradConv::Sizes& sizes, const float* products, int64_t product_stride, int64_t panel,
                     int64_t first, int64_t count, const float* bias, const float* residual, float* dst) {
  HWY_DYNAMIC_DISPATCH(WinogradOutput)
  (sizes, products, product_stride, panel, first, count, bias, residual, dst);
}

}  // namespace fastort::kernels
#endif
