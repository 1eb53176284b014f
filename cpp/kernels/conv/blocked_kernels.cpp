#include "kernels/conv/blocked_kernels.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/blocked_kernels.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"
#include "kernels/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors are no wider than a block of channels.
template <int kBlock>
using Tag = hn::CappedTag<float, kBlock>;
template <int kBlock>
constexpr int kLanes = kBlock * 4 <= HWY_MAX_BYTES ? kBlock : HWY_MAX_BYTES / 4;

// Sums that stay in registers beside the weights. With 32 registers as wide as a panel two panels share what is loaded
// of the pixels, which otherwise is one load for each product.
constexpr int kSums = 12;
constexpr int64_t kLine = 16;  // floats of a cache line
constexpr int kGroup = HWY_TARGET == HWY_AVX3 ? 2 : 1;

// Where vector `v` of a panel lies in a pixel's blocks.
template <int kBlock>
HWY_INLINE int64_t VectorOffset(int v, int64_t block_stride) {
  return v * kLanes<kBlock> / kBlock * block_stride + v * kLanes<kBlock> % kBlock;
}

// Calls `finish` with the activation, where that costs a few instructions (the others follow when many sums are stored,
// which hides their latency), and with whether there is a residual. Each call has code of its own that reads the sums
// last: where paths with arrays meet, the compiler would keep them in memory.
template <class Finish>
HWY_INLINE void WithActivation(const ActivationSpec& spec, bool residual, Finish finish) {
  const auto call = [&]<Activation kKind>(std::integral_constant<Activation, kKind> kind)
                        HWY_ATTR { residual ? finish(kind, std::true_type()) : finish(kind, std::false_type()); };
  switch (spec.kind) {
    case Activation::Relu:
      return call(std::integral_constant<Activation, Activation::Relu>());
    case Activation::Clip:
      return call(std::integral_constant<Activation, Activation::Clip>());
    case Activation::HardSwish:
      return call(std::integral_constant<Activation, Activation::HardSwish>());
    default:
      return call(std::integral_constant<Activation, Activation::None>());
  }
}

// x -> 1 / (1 + e^-x), or x / (1 + e^-x) for Silu; errors and special values are those of Sigmoid in math-inl.h, but
// that Silu of minus infinity is nearly zero. Several vectors side by side: one alone would wait for its own results.
template <bool kTimesX, int kCount, class D, class V = hn::Vec<D>>
HWY_INLINE void Logistic(D d, V (&x)[kCount]) {
  const hn::RebindToUnsigned<D> du;
  // e^-r, the polynomial of ReduceExp.
  static constexpr float kP[] = {1.0f,           -1.0f, 0.4999999325f, -0.1666651777f, 0.04166842141f, -0.008369063298f,
                                 0.001381390805f};
  const V one = hn::Set(d, 1.0f), magic = hn::Set(d, 12582912.0f);
  V shifted[kCount], r[kCount], y[kCount];
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const V t = AtMost(d, AtLeast(d, x[i], -87.3f), 87.3f);
    shifted[i] = hn::NegMulAdd(t, hn::Set(d, 1.44269504f), magic);
    const V n = hn::Sub(shifted[i], magic);
    r[i] = hn::MulAdd(n, hn::Set(d, -2.12194440e-4f), hn::MulAdd(n, hn::Set(d, 0.693359375f), t));
    y[i] = hn::Set(d, kP[6]);
  }
#pragma GCC unroll 6
  for (int k = 5; k >= 0; --k)
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) y[i] = hn::MulAdd(y[i], r[i], hn::Set(d, kP[k]));
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) {
    const auto scaled = hn::Add(hn::BitCast(du, y[i]), hn::ShiftLeft<23>(hn::BitCast(du, shifted[i])));
    const V divisor = hn::Add(one, hn::BitCast(d, scaled));
    if constexpr (kTimesX)
      x[i] = hn::Div(AtLeast(d, x[i], -87.3f), divisor);
    else
      x[i] = hn::IfThenZeroElse(hn::Lt(x[i], hn::Set(d, -87.3f)), hn::Div(one, divisor));
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

// Clears all but the first `channels` of each pixel.
template <int kBlock>
HWY_INLINE void ClearBlock(float* dst, int64_t pixels, int64_t channels) {
  const Tag<kBlock> d;
  for (int64_t lane = 0; lane < kBlock; lane += kLanes<kBlock>) {
    if (channels >= lane + kLanes<kBlock>) continue;
    const auto kept = hn::FirstN(d, static_cast<size_t>(channels > lane ? channels - lane : 0));
    for (int64_t i = lane; i < pixels * kBlock; i += kBlock)
      hn::StoreU(hn::IfThenElseZero(kept, hn::LoadU(d, dst + i)), d, dst + i);
  }
}

// Whether WithActivation does it.
bool InRegisters(const ActivationSpec& spec) {
  return spec.kind == Activation::None || spec.kind == Activation::Relu || spec.kind == Activation::Clip ||
         spec.kind == Activation::HardSwish;
}

// ---- 1x1 -----------------------------------------------------------------------------------------------------------

// Tiles of `kPixels` adjacent pixels each, the first of them at `begin`. With every block of channels `lines` cache
// lines of each panel are fetched of what `next` points to.
template <int kBlock, int kVectors, int kPanels, int kPixels>
void PointwiseTiles(const PointwiseRun& run, int64_t begin, int64_t tiles, const float* next, const float* next_end,
                    int64_t lines) {
  const Tag<kBlock> d;
  using V = hn::Vec<Tag<kBlock>>;
  constexpr int kWidth = kVectors * kLanes<kBlock>, kAll = kVectors * kPanels;
  const float* HWY_RESTRICT first = run.src + begin * kBlock;
  const int32_t* offsets = run.offsets + begin;
  // The unroller's first pass, before which arrays are in memory, leaves loops alone that are in no other.
  for (; tiles > 0; --tiles, first += kPixels * kBlock, offsets += kPixels) {
    const auto place = [&](int t, int v) HWY_ATTR { return offsets[t] + VectorOffset<kBlock>(v, run.dst_block); };
    V sums[kPixels][kAll];
#pragma GCC unroll 4
    for (int v = 0; v < kAll; ++v) {
      const V bias = hn::LoadU(d, run.bias + v * kLanes<kBlock>);
#pragma GCC unroll 12
      for (int t = 0; t < kPixels; ++t) sums[t][v] = bias;
    }
    const float* HWY_RESTRICT weights = run.weights;
    const float* HWY_RESTRICT src = first;
    const auto step = [&](int i) HWY_ATTR {
      V w[kAll];
#pragma GCC unroll 4
      for (int v = 0; v < kAll; ++v)
        w[v] = hn::LoadU(d, weights + v / kVectors * run.weights_panel + i * kWidth + v % kVectors * kLanes<kBlock>);
#pragma GCC unroll 12
      for (int t = 0; t < kPixels; ++t) {
        const V x = hn::Set(d, src[t * kBlock + i]);
#pragma GCC unroll 4
        for (int v = 0; v < kAll; ++v) sums[t][v] = hn::MulAdd(w[v], x, sums[t][v]);
      }
    };
    int64_t c = run.channels;
    for (; c >= kBlock; c -= kBlock) {
      // The pixels that come next: of the next block, or the next tile's. Few outputs wait for them otherwise.
      const float* const follows = c > kBlock ? src + run.src_block : first + kPixels * kBlock;
#pragma GCC unroll 12
      for (int t = 0; t < kPixels; ++t) hwy::Prefetch(follows + t * kBlock);
        // GCC keeps more sums in registers over four channels than over eight.
#pragma GCC unroll 1
      for (int some = 0; some < kBlock; some += 4)
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) step(some + i);
      weights += kBlock * kWidth;
      src += run.src_block;
      for (int64_t line = 0; line < lines && next < next_end; ++line, next += kLine)
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) bring_nearer(next + p * run.weights_panel);
    }
    for (int i = 0; i < c; ++i) step(i);
    WithActivation(run.activation, run.residual, [&]<class Kind, class Residual>(Kind, Residual) HWY_ATTR {
      const V alpha = hn::Set(d, run.activation.alpha), beta = hn::Set(d, run.activation.beta);
#pragma GCC unroll 12
      for (int t = 0; t < kPixels; ++t)
#pragma GCC unroll 4
        for (int v = 0; v < kAll; ++v) {
          V y = sums[t][v];
          if constexpr (Residual::value) y = hn::Add(y, hn::LoadU(d, run.residual + place(t, v)));
          hn::StoreU(activate<Kind::value>(d, y, alpha, beta), d, run.dst + place(t, v));
        }
    });
  }
}

using PointwiseFn = void (*)(const PointwiseRun&, int64_t, int64_t, const float*, const float*, int64_t);

template <int kBlock, int kVectors, int kPanels, int... kCounts>
HWY_INLINE void PointwisePixels(const PointwiseRun& run, std::integer_sequence<int, kCounts...>) {
  static constexpr PointwiseFn kTiles[] = {PointwiseTiles<kBlock, kVectors, kPanels, kCounts + 1>...};
  constexpr int64_t kMost = sizeof...(kCounts);
  // Tiles of nearly the same size, so that none is too small to hide the latency of its sums: the first ones have a
  // pixel more.
  const int64_t tiles = (run.pixels + kMost - 1) / kMost;
  if (tiles == 0) return;
  const int64_t least = run.pixels / tiles, larger = run.pixels % tiles;
  // What is wanted next is fetched evenly, each tile its share.
  const int64_t floats = run.next_weights ? run.channels * run.width : 0, blocks = run.channels / kBlock;
  const float* next = run.next_weights;
  const int64_t lines = blocks ? (floats / kLine + tiles * blocks - 1) / (tiles * blocks) : 0;
  if (larger > 0) kTiles[least](run, 0, larger, next, next + floats, lines);
  kTiles[least - 1](run, larger * (least + 1), tiles - larger, next + std::min(floats, larger * blocks * lines * kLine),
                    next + floats, lines);
}

// Applies the activation to stretches of adjacent pixels.
template <int kBlock>
void ActivateRun(const PointwiseRun& run) {
  const int64_t width = run.panels * run.width, size = run.dst_block == kBlock ? width : kBlock;
  for (int64_t c = 0; c < width; c += size) {
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
  if constexpr (kGroup > 1 && kFull == 1) {
    if (run.panels > 1) {
      PointwisePixels<kBlock, kFull, kGroup>(run, std::make_integer_sequence<int, kSums / kFull>());
      if (!InRegisters(run.activation)) ActivateRun<kBlock>(run);
      return;
    }
  }
  if (run.width == kBlockedPanel) {
    PointwisePixels<kBlock, kFull, 1>(run, std::make_integer_sequence<int, kSums / kFull>());
  } else if constexpr (kBlock == 8) {
    constexpr int kHalf = kBlock / kLanes<kBlock>;
    PointwisePixels<kBlock, kHalf, 1>(run, std::make_integer_sequence<int, kSums / kHalf>());
  }
  if (!InRegisters(run.activation)) ActivateRun<kBlock>(run);
}

int Group(int block) { return block == 16 ? kGroup : 1; }

void Pointwise(const PointwiseRun& run, int block) {
  if (block == 8)
    PointwiseBlocked<8>(run);
  else
    PointwiseBlocked<16>(run);
}

// ---- depthwise -----------------------------------------------------------------------------------------------------

// What was loaded through a pointer before is loaded again: weights that stay in registers displace sums.
HWY_INLINE const float* Reloaded(const float* at) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  __asm__("" : "+r"(at));
#endif
  return at;
}

// Of vector `v` of the channels: tiles of `kPixels` outputs of one row, or of two rows that share the inputs between
// them, the first of them at column `x`. `kTaps` columns of the kernel, which are adjacent, and as many rows where
// there are two rows of outputs; 0: as many as it has.
template <int kBlock, int kWidth, int kStride, int kTaps, int kRows, int kPixels>
void DepthwiseTiles(const DepthwiseRows& run, int64_t x, int64_t tiles, int v) {
  const Tag<kBlock> d;
  using V = hn::Vec<Tag<kBlock>>;
  const V bias = hn::LoadU(d, run.bias + v * kLanes<kBlock>);
  int64_t at = VectorOffset<kBlock>(v, run.dst_block) + x * kBlock;
  int64_t first = x * kStride * kWidth + v * kLanes<kBlock>;
  const bool own_sums = run.sums && InRegisters(run.activation);
  // The unroller's first pass, before which arrays are in memory, leaves loops alone that are in no other.
  for (; tiles > 0; --tiles, at += kPixels * kBlock, first += kPixels * kStride * kWidth) {
    const float* HWY_RESTRICT weights = run.weights + v * kLanes<kBlock>;
    V sums[kRows][kPixels];
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (int t = 0; t < kPixels; ++t) sums[r][t] = bias;
    if constexpr (kRows == 1) {
      const int64_t step = run.dilation * kWidth;
      const auto add = [&](const float* HWY_RESTRICT src) HWY_ATTR {
        const V w = hn::LoadU(d, weights);
        weights += kWidth;
#pragma GCC unroll 8
        for (int t = 0; t < kPixels; ++t)
          sums[0][t] = hn::MulAdd(w, hn::LoadU(d, src + t * kStride * kWidth), sums[0][t]);
      };
      for (int64_t ky = 0; ky < run.kernel_height; ++ky) {
        const float* HWY_RESTRICT src = run.rows[ky] + first;
        if constexpr (kTaps > 0) {
#pragma GCC unroll 5
          for (int kx = 0; kx < kTaps; ++kx) add(src + kx * kWidth);
        } else {
          for (int64_t kx = 0; kx < run.kernel_width; ++kx) add(src + kx * step);
        }
      }
    } else {
      constexpr int64_t kRowWeights = kTaps * kWidth;
      const auto add = [&](V(&row)[kPixels], const float* HWY_RESTRICT src, const float* HWY_RESTRICT w) HWY_ATTR {
#pragma GCC unroll 5
        for (int kx = 0; kx < kTaps; ++kx) {
          const V factor = hn::LoadU(d, w + kx * kWidth);
#pragma GCC unroll 8
          for (int t = 0; t < kPixels; ++t)
            row[t] = hn::MulAdd(factor, hn::LoadU(d, src + (t * kStride + kx) * kWidth), row[t]);
        }
      };
      for (int iy = 0; iy < kStride; ++iy) add(sums[0], run.rows[iy] + first, weights + iy * kRowWeights);
      for (int iy = kStride; iy < kTaps; ++iy) {
        const float* HWY_RESTRICT src = run.rows[iy] + first;
        const float* HWY_RESTRICT w = weights + iy * kRowWeights;
        const float* HWY_RESTRICT before = Reloaded(w - kStride * kRowWeights);
#pragma GCC unroll 5
        for (int kx = 0; kx < kTaps; ++kx) {
          const V upper = hn::LoadU(d, w + kx * kWidth), lower = hn::LoadU(d, before + kx * kWidth);
#pragma GCC unroll 8
          for (int t = 0; t < kPixels; ++t) {
            const V in = hn::LoadU(d, src + (t * kStride + kx) * kWidth);
            sums[0][t] = hn::MulAdd(upper, in, sums[0][t]);
            sums[1][t] = hn::MulAdd(lower, in, sums[1][t]);
          }
        }
      }
      for (int iy = kTaps; iy < kTaps + kStride; ++iy)
        add(sums[1], run.rows[iy] + first, weights + (iy - kStride) * kRowWeights);
    }
    WithActivation(run.activation, run.residual, [&]<class Kind, class Residual>(Kind, Residual) HWY_ATTR {
      const V alpha = hn::Set(d, run.activation.alpha), beta = hn::Set(d, run.activation.beta);
      V totals[2] = {hn::Zero(d), hn::Zero(d)};
#pragma GCC unroll 2
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
        for (int t = 0; t < kPixels; ++t) {
          const int64_t place = at + r * run.dst_row + t * kBlock;
          V y = sums[r][t];
          if constexpr (Residual::value) y = hn::Add(y, hn::LoadU(d, run.residual + place));
          y = activate<Kind::value>(d, y, alpha, beta);
          hn::StoreU(y, d, run.dst + place);
          totals[t % 2] = hn::Add(totals[t % 2], y);
        }
      if (!own_sums) return;
      float* total = run.sums + v * kLanes<kBlock>;
      hn::StoreU(hn::Add(hn::LoadU(d, total), hn::Add(totals[0], totals[1])), d, total);
    });
  }
}

// Activates the outputs where WithActivation did not, and adds them to the sums.
template <int kBlock, int kWidth>
void FinishDepthwise(const DepthwiseRows& run) {
  const Tag<kBlock> d;
  for (int64_t r = 0; r < run.out_rows; ++r)
    for (int v = 0; v < kWidth / kLanes<kBlock>; ++v) {
      float* dst = run.dst + r * run.dst_row + VectorOffset<kBlock>(v, run.dst_block);
      if (v * kLanes<kBlock> % kBlock == 0) ActivateFloats<kBlock>(run.activation, dst, run.pixels * kBlock);
      if (!run.sums) continue;
      auto even = hn::Zero(d), odd = hn::Zero(d);
      int64_t x = 0;
      for (; x + 2 <= run.pixels; x += 2) {
        even = hn::Add(even, hn::LoadU(d, dst + x * kBlock));
        odd = hn::Add(odd, hn::LoadU(d, dst + (x + 1) * kBlock));
      }
      if (x < run.pixels) even = hn::Add(even, hn::LoadU(d, dst + x * kBlock));
      float* total = run.sums + v * kLanes<kBlock>;
      hn::StoreU(hn::Add(hn::LoadU(d, total), hn::Add(even, odd)), d, total);
    }
}

using DepthwiseFn = void (*)(const DepthwiseRows&, int64_t, int64_t, int);

template <int kBlock, int kWidth, int kStride, int kTaps, int kRows, int... kCounts>
HWY_INLINE void DepthwisePixels(const DepthwiseRows& run, std::integer_sequence<int, kCounts...>) {
  static constexpr DepthwiseFn kTiles[] = {DepthwiseTiles<kBlock, kWidth, kStride, kTaps, kRows, kCounts + 1>...};
  constexpr int64_t kMost = sizeof...(kCounts);
  const int64_t tiles = (run.pixels + kMost - 1) / kMost;
  if (tiles == 0) return;
  const int64_t least = run.pixels / tiles, larger = run.pixels % tiles;
  for (int v = 0; v < kWidth / kLanes<kBlock>; ++v) {
    if (larger > 0) kTiles[least](run, 0, larger, v);
    kTiles[least - 1](run, larger * (least + 1), tiles - larger, v);
  }
  if (!InRegisters(run.activation)) FinishDepthwise<kBlock, kWidth>(run);
  // Channels behind the last one stay zero whatever the activation makes of zero.
  for (int64_t c = 0; c < kWidth && run.channels < kWidth; c += kBlock)
    for (int64_t r = 0; r < run.out_rows; ++r)
      ClearBlock<kBlock>(run.dst + c / kBlock * run.dst_block + r * run.dst_row, run.pixels, run.channels - c);
  for (int64_t c = run.channels; c < kWidth && run.sums; ++c) run.sums[c] = 0;
}

template <int kBlock, int kWidth>
HWY_INLINE void DepthwiseBlocked(const DepthwiseRows& run) {
  const std::make_integer_sequence<int, 8> eight;
  // Sums of two rows, two weights and the inputs that adjacent taps share fit in sixteen registers.
  const std::make_integer_sequence<int, 5> five;
  const std::make_integer_sequence<int, 4> four;
  const int64_t taps = run.dilation == 1 ? run.kernel_width : 0;
  const bool small = run.stride == 1;
  if (run.out_rows == 2 && taps == 3) return DepthwisePixels<kBlock, kWidth, 1, 3, 2>(run, five);
  if (run.out_rows == 2 && small) return DepthwisePixels<kBlock, kWidth, 1, 5, 2>(run, four);
  if (run.out_rows == 2) return DepthwisePixels<kBlock, kWidth, 2, 5, 2>(run, four);
  if (small && taps == 3) return DepthwisePixels<kBlock, kWidth, 1, 3, 1>(run, eight);
  if (small && taps == 5) return DepthwisePixels<kBlock, kWidth, 1, 5, 1>(run, eight);
  if (small) return DepthwisePixels<kBlock, kWidth, 1, 0, 1>(run, eight);
  if (taps == 3) return DepthwisePixels<kBlock, kWidth, 2, 3, 1>(run, eight);
  DepthwisePixels<kBlock, kWidth, 2, 0, 1>(run, eight);
}

void Depthwise(const DepthwiseRows& run, int block) {
  if (block == 16)
    DepthwiseBlocked<16, 16>(run);
  else if (run.width == 16)
    DepthwiseBlocked<8, 16>(run);
  else
    DepthwiseBlocked<8, 8>(run);
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

void Clear(float* dst, int64_t pixels, int block, int64_t channels) {
  if (block == 8)
    ClearBlock<8>(dst, pixels, channels);
  else
    ClearBlock<16>(dst, pixels, channels);
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

HWY_EXPORT(Group);
HWY_EXPORT(Pointwise);
HWY_EXPORT(Depthwise);
HWY_EXPORT(Scale);
HWY_EXPORT(Spread);
HWY_EXPORT(Clear);

int blocked_panel_group(int block) { return HWY_DYNAMIC_DISPATCH(Group)(block); }

void pointwise_run(const PointwiseRun& run, int block) { HWY_DYNAMIC_DISPATCH(Pointwise)(run, block); }

void depthwise_rows(const DepthwiseRows& run, int block) { HWY_DYNAMIC_DISPATCH(Depthwise)(run, block); }

void scale_pixels(const float* src, const float* scale, int64_t pixels, int block, float* dst) {
  HWY_DYNAMIC_DISPATCH(Scale)(src, scale, pixels, block, dst);
}

void spread_pixels(const float* src, int64_t pixels, int block, float* dst, int64_t dst_pixel) {
  HWY_DYNAMIC_DISPATCH(Spread)(src, pixels, block, dst, dst_pixel);
}

void clear_channels(float* dst, int64_t pixels, int block, int64_t channels) {
  HWY_DYNAMIC_DISPATCH(Clear)(dst, pixels, block, channels);
}

}  // namespace fastort::kernels
#endif
