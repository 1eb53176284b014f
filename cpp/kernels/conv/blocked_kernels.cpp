#include "kernels/conv/blocked_kernels.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/blocked_kernels.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors are no wider than a block of channels.
template <int kBlock>
using Tag = hn::CappedTag<float, kBlock>;
template <int kBlock>
constexpr int kLanes = kBlock * 4 <= HWY_MAX_BYTES ? kBlock : HWY_MAX_BYTES / 4;

// Sums that stay in registers beside the weights.
constexpr int kSums = 12;

// Where vector `v` of a panel lies in a pixel's blocks.
template <int kBlock>
HWY_INLINE int64_t VectorOffset(int v, int64_t block_stride) {
  return v * kLanes<kBlock> / kBlock * block_stride + v * kLanes<kBlock> % kBlock;
}

// Applies an activation that costs a few instructions to sums in registers; false where it is none of these.
template <class D, int kRows, int kColumns, class V = hn::Vec<D>>
HWY_INLINE bool ActivateSums(D d, const ActivationSpec& spec, V (&sums)[kRows][kColumns]) {
  const V zero = hn::Zero(d);
  switch (spec.kind) {
    case Activation::None:
      return true;
    case Activation::Relu:
#pragma GCC unroll 12
      for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < kColumns; ++v) sums[i][v] = hn::Max(zero, sums[i][v]);
      return true;
    case Activation::Clip: {
      const V low = hn::Set(d, spec.alpha), high = hn::Set(d, spec.beta);
#pragma GCC unroll 12
      for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < kColumns; ++v) sums[i][v] = activate<Activation::Clip>(d, sums[i][v], low, high);
      return true;
    }
    case Activation::HardSwish:
#pragma GCC unroll 12
      for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < kColumns; ++v) sums[i][v] = activate<Activation::HardSwish>(d, sums[i][v], zero, zero);
      return true;
    default:
      return false;
  }
}

// x -> 1 / (1 + e^-x), times x for Silu; errors and special values are those of Sigmoid in math-inl.h. Several vectors
// side by side: one alone would wait for its own results.
template <bool kTimesX, int kCount, class D, class V = hn::Vec<D>>
HWY_INLINE void Logistic(D d, V (&x)[kCount]) {
  const hn::RebindToUnsigned<D> du;
  // e^-r - 1 + r = r^2 (c0 - c1 r + ...), the polynomial of ReduceExp.
  const V c0 = hn::Set(d, 0.4999999325f), c1 = hn::Set(d, -0.1666651777f), c2 = hn::Set(d, 0.04166842141f);
  const V c3 = hn::Set(d, -0.008369063298f), c4 = hn::Set(d, 0.001381390805f), one = hn::Set(d, 1.0f);
  const V magic = hn::Set(d, 12582912.0f);
  V shifted[kCount], r[kCount], y[kCount];
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const V t = AtMost(d, AtLeast(d, x[i], -87.3f), 87.3f);
    shifted[i] = hn::NegMulAdd(t, hn::Set(d, 1.44269504f), magic);
    const V n = hn::Sub(shifted[i], magic);
    r[i] = hn::MulAdd(n, hn::Set(d, -2.12194440e-4f), hn::MulAdd(n, hn::Set(d, 0.693359375f), t));
  }
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) y[i] = hn::MulAdd(hn::MulAdd(c4, r[i], c3), r[i], c2);
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) y[i] = hn::MulAdd(hn::MulAdd(y[i], r[i], c1), r[i], c0);
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) y[i] = hn::MulAdd(hn::Mul(r[i], r[i]), y[i], hn::Sub(one, r[i]));
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const auto scaled = hn::Add(hn::BitCast(du, y[i]), hn::ShiftLeft<23>(hn::BitCast(du, shifted[i])));
    y[i] = hn::Div(one, hn::Add(one, hn::BitCast(d, scaled)));
  }
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const V s = hn::IfThenZeroElse(hn::Lt(x[i], hn::Set(d, -87.3f)), y[i]);
    x[i] = kTimesX ? hn::Mul(x[i], s) : s;
  }
}

template <bool kTimesX, class D, class Place>
HWY_INLINE void LogisticStored(D d, int64_t count, Place place) {
  hn::Vec<D> x[4], last[1];
  int64_t i = 0;
#pragma GCC unroll 1
  for (; i + 4 <= count; i += 4) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) x[k] = hn::LoadU(d, place(i + k));
    Logistic<kTimesX>(d, x);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) hn::StoreU(x[k], d, place(i + k));
  }
  for (; i < count; ++i) {
    last[0] = hn::LoadU(d, place(i));
    Logistic<kTimesX>(d, last);
    hn::StoreU(last[0], d, place(i));
  }
}

// The other activations, on sums that were stored: `count` vectors, `place(i)` says where.
template <Activation kKind, class D, class Place>
HWY_INLINE void ActivateStored(D d, const ActivationSpec& spec, int64_t count, Place place) {
  const auto alpha = hn::Set(d, spec.alpha), beta = hn::Set(d, spec.beta);
#pragma GCC unroll 1
  for (int64_t i = 0; i < count; ++i) {
    float* at = place(i);
    hn::StoreU(activate<kKind>(d, hn::LoadU(d, at), alpha, beta), d, at);
  }
}

template <class D, class Place>
HWY_INLINE void ActivateStored(D d, const ActivationSpec& spec, int64_t count, Place place) {
  switch (spec.kind) {
    case Activation::LeakyRelu:
      return ActivateStored<Activation::LeakyRelu>(d, spec, count, place);
    case Activation::Sigmoid:
      return LogisticStored<false>(d, count, place);
    case Activation::Tanh:
      return ActivateStored<Activation::Tanh>(d, spec, count, place);
    case Activation::HardSigmoid:
      return ActivateStored<Activation::HardSigmoid>(d, spec, count, place);
    case Activation::Silu:
      return LogisticStored<true>(d, count, place);
    case Activation::Gelu:
      return ActivateStored<Activation::Gelu>(d, spec, count, place);
    case Activation::GeluTanh:
      return ActivateStored<Activation::GeluTanh>(d, spec, count, place);
    default:
      return;
  }
}

template <int kBlock>
HWY_NOINLINE void ActivateFloats(const ActivationSpec& activation, float* data, int64_t count) {
  ActivateStored(Tag<kBlock>(), activation, count / kLanes<kBlock>,
                 [=](int64_t i) { return data + i * kLanes<kBlock>; });
}

// Whether ActivateSums does it; the others are applied to many sums at once, which hides their latency.
bool InRegisters(const ActivationSpec& spec) {
  return spec.kind == Activation::None || spec.kind == Activation::Relu || spec.kind == Activation::Clip ||
         spec.kind == Activation::HardSwish;
}

// ---- 1x1 -----------------------------------------------------------------------------------------------------------

template <int kBlock, int kVectors, int kPixels>
void PointwiseTile(const PointwiseRun& run, const float* HWY_RESTRICT src, const int32_t* offsets,
                   const float* HWY_RESTRICT prefetched) {
  const Tag<kBlock> d;
  using V = hn::Vec<Tag<kBlock>>;
  constexpr int kWidth = kVectors * kLanes<kBlock>;
  V sums[kPixels][kVectors];
  if (run.bias) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const V bias = hn::LoadU(d, run.bias + v * kLanes<kBlock>);
#pragma GCC unroll 12
      for (int t = 0; t < kPixels; ++t) sums[t][v] = bias;
    }
  } else {
#pragma GCC unroll 12
    for (int t = 0; t < kPixels; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        sums[t][v] = hn::LoadU(d, run.dst + offsets[t] + VectorOffset<kBlock>(v, run.dst_block));
  }
  const float* HWY_RESTRICT weights = run.weights;
  const auto step = [&](int i) HWY_ATTR {
    V w[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) w[v] = hn::LoadU(d, weights + i * kWidth + v * kLanes<kBlock>);
#pragma GCC unroll 12
    for (int t = 0; t < kPixels; ++t) {
      const V x = hn::Set(d, src[t * kBlock + i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[t][v] = hn::MulAdd(w[v], x, sums[t][v]);
    }
  };
  int64_t c = run.channels;
  for (; c >= kBlock; c -= kBlock) {
#pragma GCC unroll 8
    for (int i = 0; i < kBlock; ++i) step(i);
    weights += kBlock * kWidth;
    src += run.src_block;
    hwy::Prefetch(prefetched);
    prefetched += 64 / sizeof(float);
  }
  for (int i = 0; i < c; ++i) step(i);
  if (run.last && run.residual) {
#pragma GCC unroll 12
    for (int t = 0; t < kPixels; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        sums[t][v] =
            hn::Add(sums[t][v], hn::LoadU(d, run.residual + offsets[t] + VectorOffset<kBlock>(v, run.dst_block)));
  }
  if (run.last) ActivateSums(d, run.activation, sums);
#pragma GCC unroll 12
  for (int t = 0; t < kPixels; ++t)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      hn::StoreU(sums[t][v], d, run.dst + offsets[t] + VectorOffset<kBlock>(v, run.dst_block));
}

using PointwiseFn = void (*)(const PointwiseRun&, const float*, const int32_t*, const float*);

template <int kBlock, int kVectors, int... kCounts>
HWY_INLINE void PointwiseTiles(const PointwiseRun& run, std::integer_sequence<int, kCounts...>) {
  static constexpr PointwiseFn kTiles[] = {PointwiseTile<kBlock, kVectors, kCounts + 1>...};
  constexpr int64_t kMost = sizeof...(kCounts);
  // Tiles of nearly the same size, so that none is too small to hide the latency of its sums.
  const int64_t tiles = (run.pixels + kMost - 1) / kMost;
  // Each tile fetches a part of the weights that come next, a line for every block of channels.
  const float* next = run.next_weights ? run.next_weights : run.weights;
  const int64_t lines = run.channels / kBlock, all = run.channels * run.width * 4 / 64;
  int64_t begin = 0;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t end = run.pixels * (i + 1) / tiles;
    const int64_t line = run.next_weights ? std::min(i * lines, std::max<int64_t>(all - lines, 0)) : 0;
    kTiles[end - begin - 1](run, run.src + begin * kBlock, run.offsets + begin, next + line * 16);
    begin = end;
  }
}

// Applies the activation to stretches of adjacent pixels.
template <int kBlock>
void ActivateRun(const PointwiseRun& run) {
  const int64_t size = run.dst_block == kBlock ? run.width : kBlock;
  for (int64_t c = 0; c < run.width; c += size) {
    float* dst = run.dst + c / kBlock * run.dst_block;
    for (int64_t i = 0, end; i < run.pixels; i = end) {
      for (end = i + 1; end < run.pixels && run.offsets[end] - run.offsets[end - 1] == size;) ++end;
      ActivateFloats<kBlock>(run.activation, dst + run.offsets[i], (end - i) * size);
    }
  }
}

template <int kBlock>
HWY_INLINE void PointwiseBlocked(const PointwiseRun& run) {
  constexpr int kFull = kBlockedPanel / kLanes<kBlock>;
  if (run.width == kBlockedPanel) {
    PointwiseTiles<kBlock, kFull>(run, std::make_integer_sequence<int, kSums / kFull>());
  } else if constexpr (kBlock == 8) {
    constexpr int kHalf = kBlock / kLanes<kBlock>;
    PointwiseTiles<kBlock, kHalf>(run, std::make_integer_sequence<int, kSums / kHalf>());
  }
  if (run.last && !InRegisters(run.activation)) ActivateRun<kBlock>(run);
}

void Pointwise(const PointwiseRun& run, int block) {
  if (block == 8)
    PointwiseBlocked<8>(run);
  else
    PointwiseBlocked<16>(run);
}

// ---- depthwise -----------------------------------------------------------------------------------------------------

// `kTaps` columns of the kernel, which are adjacent; 0: as many as it has.
template <int kBlock, int kWidth, int kStride, int kTaps, int kPixels>
void DepthwiseTile(const DepthwiseRow& row, int64_t x, int v) {
  const Tag<kBlock> d;
  using V = hn::Vec<Tag<kBlock>>;
  V sums[kPixels][1];
  const V bias = hn::LoadU(d, row.bias + v * kLanes<kBlock>);
#pragma GCC unroll 8
  for (int t = 0; t < kPixels; ++t) sums[t][0] = bias;
  const float* HWY_RESTRICT weights = row.weights + v * kLanes<kBlock>;
  const int64_t first = x * kStride * kWidth + v * kLanes<kBlock>, step = row.dilation * kWidth;
  const auto add = [&](const float* HWY_RESTRICT src) HWY_ATTR {
    const V w = hn::LoadU(d, weights);
    weights += kWidth;
#pragma GCC unroll 8
    for (int t = 0; t < kPixels; ++t) sums[t][0] = hn::MulAdd(w, hn::LoadU(d, src + t * kStride * kWidth), sums[t][0]);
  };
  for (int64_t ky = 0; ky < row.kernel_height; ++ky) {
    const float* HWY_RESTRICT src = row.rows[ky] + first;
    if constexpr (kTaps > 0) {
#pragma GCC unroll 5
      for (int kx = 0; kx < kTaps; ++kx) add(src + kx * kWidth);
    } else {
      for (int64_t kx = 0; kx < row.kernel_width; ++kx) add(src + kx * step);
    }
  }
  const int64_t at = VectorOffset<kBlock>(v, row.dst_block) + x * kBlock;
  if (row.residual) {
#pragma GCC unroll 8
    for (int t = 0; t < kPixels; ++t) sums[t][0] = hn::Add(sums[t][0], hn::LoadU(d, row.residual + at + t * kBlock));
  }
  const bool done = ActivateSums(d, row.activation, sums);
  float* dst = row.dst + at;
#pragma GCC unroll 8
  for (int t = 0; t < kPixels; ++t) hn::StoreU(sums[t][0], d, dst + t * kBlock);
  if (!row.sums || !done) return;
#pragma GCC unroll 8
  for (int t = 2; t < kPixels; ++t) sums[t % 2][0] = hn::Add(sums[t % 2][0], sums[t][0]);
  float* total = row.sums + v * kLanes<kBlock>;
  hn::StoreU(hn::Add(hn::LoadU(d, total), kPixels > 1 ? hn::Add(sums[0][0], sums[1 % kPixels][0]) : sums[0][0]), d,
             total);
}

using DepthwiseFn = void (*)(const DepthwiseRow&, int64_t, int);

template <int kBlock, int kWidth, int kStride, int kTaps, int... kCounts>
HWY_INLINE void DepthwiseTiles(const DepthwiseRow& row, std::integer_sequence<int, kCounts...>) {
  static constexpr DepthwiseFn kTiles[] = {DepthwiseTile<kBlock, kWidth, kStride, kTaps, kCounts + 1>...};
  constexpr int64_t kMost = sizeof...(kCounts);
  const int64_t tiles = (row.pixels + kMost - 1) / kMost;
  for (int v = 0; v < kWidth / kLanes<kBlock>; ++v) {
    for (int64_t i = 0, begin = 0; i < tiles; ++i) {
      const int64_t end = row.pixels * (i + 1) / tiles;
      kTiles[end - begin - 1](row, begin, v);
      begin = end;
    }
  }
  if (!InRegisters(row.activation)) {
    const Tag<kBlock> d;
    for (int v = 0; v < kWidth / kLanes<kBlock>; ++v) {
      float* dst = row.dst + VectorOffset<kBlock>(v, row.dst_block);
      if (v * kLanes<kBlock> % kBlock == 0) ActivateFloats<kBlock>(row.activation, dst, row.pixels * kBlock);
      if (!row.sums) continue;
      auto even = hn::Zero(d), odd = hn::Zero(d);
      int64_t x = 0;
      for (; x + 2 <= row.pixels; x += 2) {
        even = hn::Add(even, hn::LoadU(d, dst + x * kBlock));
        odd = hn::Add(odd, hn::LoadU(d, dst + (x + 1) * kBlock));
      }
      if (x < row.pixels) even = hn::Add(even, hn::LoadU(d, dst + x * kBlock));
      float* total = row.sums + v * kLanes<kBlock>;
      hn::StoreU(hn::Add(hn::LoadU(d, total), hn::Add(even, odd)), d, total);
    }
  }
  // Channels behind the last one stay zero whatever the activation makes of zero.
  for (int64_t c = row.channels; c < kWidth; ++c) {
    for (int64_t x = 0; x < row.pixels; ++x) row.dst[c / kBlock * row.dst_block + x * kBlock + c % kBlock] = 0;
    if (row.sums) row.sums[c] = 0;
  }
}

template <int kBlock, int kWidth>
HWY_INLINE void DepthwiseBlocked(const DepthwiseRow& row) {
  const std::make_integer_sequence<int, 8> counts;
  const int64_t taps = row.dilation == 1 ? row.kernel_width : 0;
  if (row.stride == 1 && taps == 3) return DepthwiseTiles<kBlock, kWidth, 1, 3>(row, counts);
  if (row.stride == 1 && taps == 5) return DepthwiseTiles<kBlock, kWidth, 1, 5>(row, counts);
  if (row.stride == 1) return DepthwiseTiles<kBlock, kWidth, 1, 0>(row, counts);
  if (taps == 3) return DepthwiseTiles<kBlock, kWidth, 2, 3>(row, counts);
  DepthwiseTiles<kBlock, kWidth, 2, 0>(row, counts);
}

void Depthwise(const DepthwiseRow& row, int block) {
  if (block == 16)
    DepthwiseBlocked<16, 16>(row);
  else if (row.width == 16)
    DepthwiseBlocked<8, 16>(row);
  else
    DepthwiseBlocked<8, 8>(row);
}

template <int kBlock>
HWY_INLINE void ScaleBlock(const float* HWY_RESTRICT src, const float* scale, int64_t pixels, float* HWY_RESTRICT dst) {
  const Tag<kBlock> d;
  for (int lane = 0; lane < kBlock; lane += kLanes<kBlock>) {
    const auto factor = hn::LoadU(d, scale + lane);
    for (int64_t i = lane; i < pixels * kBlock; i += kBlock)
      hn::StoreU(hn::Mul(factor, hn::LoadU(d, src + i)), d, dst + i);
  }
}

void Scale(const float* src, const float* scale, int64_t pixels, int block, float* dst) {
  if (block == 8)
    ScaleBlock<8>(src, scale, pixels, dst);
  else
    ScaleBlock<16>(src, scale, pixels, dst);
}

template <int kBlock>
HWY_INLINE void SpreadBlock(const float* HWY_RESTRICT src, int64_t pixels, float* HWY_RESTRICT dst, int64_t step) {
  const Tag<kBlock> d;
  for (int64_t i = 0; i < pixels; ++i, src += kBlock, dst += step)
    for (int lane = 0; lane < kBlock; lane += kLanes<kBlock>) hn::StoreU(hn::LoadU(d, src + lane), d, dst + lane);
}

void Spread(const float* src, int64_t pixels, int block, float* dst, int64_t dst_pixel) {
  if (block == 8)
    SpreadBlock<8>(src, pixels, dst, dst_pixel);
  else
    SpreadBlock<16>(src, pixels, dst, dst_pixel);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Pointwise);
HWY_EXPORT(Depthwise);
HWY_EXPORT(Scale);
HWY_EXPORT(Spread);

void pointwise_run(const PointwiseRun& run, int block) { HWY_DYNAMIC_DISPATCH(Pointwise)(run, block); }

void depthwise_row(const DepthwiseRow& row, int block) { HWY_DYNAMIC_DISPATCH(Depthwise)(row, block); }

void scale_pixels(const float* src, const float* scale, int64_t pixels, int block, float* dst) {
  HWY_DYNAMIC_DISPATCH(Scale)(src, scale, pixels, block, dst);
}

void spread_pixels(const float* src, int64_t pixels, int block, float* dst, int64_t dst_pixel) {
  HWY_DYNAMIC_DISPATCH(Spread)(src, pixels, block, dst, dst_pixel);
}

}  // namespace fastort::kernels
#endif
