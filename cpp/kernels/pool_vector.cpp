#include <algorithm>
#include <cstdlib>
#include <limits>

#include "kernels/pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool_vector.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the pixels of a source in blocks or channels last lie, in floats.
struct VectorPlace {
  int64_t inner;      // channels of one pixel that lie together
  int64_t src_outer;  // from one plane (a block of channels, or an image) to the
                      // next
  int64_t dst_outer;
};

// A sum, or a maximum that is NaN where any of its elements is. The processors'
// maximum passes over a NaN or not by its place, so a sum is taken along: where
// that is no NaN, none of the elements is.
template <bool kMax, class DF>
class Pooled {
 public:
  using V = hn::Vec<DF>;
  explicit HWY_INLINE Pooled(DF d) : sum_(hn::Zero(d)), most_(hn::Set(d, -std::numeric_limits<float>::infinity())) {}

  HWY_INLINE void Take(V value) {
    sum_ = hn::Add(sum_, value);
    if constexpr (kMax) most_ = hn::Max(most_, value);
  }
  HWY_INLINE void Take(const Pooled &other) {
    sum_ = hn::Add(sum_, other.sum_);
    if constexpr (kMax) most_ = hn::Max(most_, other.most_);
  }
  // Whether the maximum has to be looked for again, with `Larger`: infinities
  // that cancel are NaN as well.
  HWY_INLINE bool Unsure(DF d) const { return kMax && !hn::AllFalse(d, hn::IsNaN(sum_)); }
  HWY_INLINE V Value() const {
    if constexpr (kMax) return most_;
    return sum_;
  }

 private:
  V sum_, most_;
};

// The larger one, or NaN.
template <class V>
HWY_INLINE V Larger(V most, V value) {
  return hn::IfThenElse(hn::Or(hn::IsNaN(most), hn::Ge(most, value)), most, value);
}

// The taps of one output pixel in one vector of channels. kWidth is the
// kernel's width where it is known.
template <bool kMax, int kWidth, class DF, class Load>
HWY_INLINE hn::Vec<DF> PoolTaps(DF d, int64_t depth, int64_t height, int64_t width, const int64_t *steps, Load load) {
  Pooled<kMax, DF> pooled(d);
  for (int64_t kz = 0; kz < depth; ++kz)
    for (int64_t ky = 0; ky < height; ++ky) {
      const int64_t at = kz * steps[0] + ky * steps[1];
      if constexpr (kWidth > 0) {
#pragma GCC unroll 3
        for (int64_t kx = 0; kx < kWidth; ++kx) pooled.Take(load(at + kx * steps[2]));
      } else {
        for (int64_t kx = 0; kx < width; ++kx) pooled.Take(load(at + kx * steps[2]));
      }
    }
  if (HWY_LIKELY(!pooled.Unsure(d))) return pooled.Value();
  auto most = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t kz = 0; kz < depth; ++kz)
    for (int64_t ky = 0; ky < height; ++ky)
      for (int64_t kx = 0; kx < width; ++kx) most = Larger(most, load(kz * steps[0] + ky * steps[1] + kx * steps[2]));
  return most;
}

// `kPixels` adjacent outputs in one vector of channels, whose windows lie
// inside of the row, `between` floats apart.
template <bool kMax, int kWidth, int kPixels, class DF>
HWY_INLINE void PoolPixels(DF d, int64_t depth, int64_t height, int64_t width, const int64_t *steps, const float *from,
                           int64_t between, float scale, float *to, int64_t to_pixel) {
  using V = hn::Vec<DF>;
  V sums[kPixels], most[kPixels];
#pragma GCC unroll 4
  for (int t = 0; t < kPixels; ++t) {
    sums[t] = hn::Zero(d);
    most[t] = hn::Set(d, -std::numeric_limits<float>::infinity());
  }
  const auto take = [&](const float *at) HWY_ATTR {
#pragma GCC unroll 4
    for (int t = 0; t < kPixels; ++t) {
      const V value = hn::LoadU(d, at + t * between);
      sums[t] = hn::Add(sums[t], value);
      if constexpr (kMax) most[t] = hn::Max(most[t], value);
    }
  };
  for (int64_t kz = 0; kz < depth; ++kz)
    for (int64_t ky = 0; ky < height; ++ky) {
      const float *at = from + kz * steps[0] + ky * steps[1];
      if constexpr (kWidth > 0) {
#pragma GCC unroll 3
        for (int64_t kx = 0; kx < kWidth; ++kx) take(at + kx * steps[2]);
      } else {
        for (int64_t kx = 0; kx < width; ++kx) take(at + kx * steps[2]);
      }
    }
  if constexpr (kMax) {
    V sum = sums[0];
#pragma GCC unroll 4
    for (int t = 1; t < kPixels; ++t) sum = hn::Add(sum, sums[t]);
    if (HWY_UNLIKELY(!hn::AllFalse(d, hn::IsNaN(sum)))) {
      for (int t = 0; t < kPixels; ++t)
        hn::StoreU(PoolTaps<true, 0>(d, depth, height, width, steps,
                                     [&](int64_t at) HWY_ATTR { return hn::LoadU(d, from + t * between + at); }),
                   d, to + t * to_pixel);
      return;
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < kPixels; ++t)
    hn::StoreU(kMax ? most[t] : hn::Mul(sums[t], hn::Set(d, scale)), d, to + t * to_pixel);
}

template <bool kMax, int kWidth>
HWY_INLINE void PoolRow(const PoolShape &s, const VectorPlace &place, const float *src, float *dst,
                        const PoolShape::Reach &z, const PoolShape::Reach &y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), inner = place.inner, row = s.in[2] * inner;
  const int64_t steps[3] = {s.dilation[0] * s.in[1] * row, s.dilation[1] * row, s.dilation[2] * inner};
  const int64_t depth = z.last - z.first, height = y.last - y.first;
  const float *first_row =
      src + ((z.origin + z.first * s.dilation[0]) * s.in[1] + y.origin + y.first * s.dilation[1]) * row;
  // Outputs [inside, outside) read whole windows; none where attributes are out of all proportion.
  int64_t inside = s.out[2], outside = s.out[2];
  constexpr int64_t kMost = int64_t{1} << 40;
  const bool sane = s.kernel[2] <= s.in[2] && (s.kernel[2] == 1 || s.dilation[2] <= s.in[2]) && s.stride[2] < kMost &&
                    std::abs(s.pad_begin[2]) < kMost;
  if (const int64_t span = sane ? (s.kernel[2] - 1) * s.dilation[2] : s.in[2]; span < s.in[2]) {
    inside = std::clamp<int64_t>((s.pad_begin[2] + s.stride[2] - 1) / s.stride[2], 0, s.out[2]);
    const int64_t beyond = s.in[2] + s.pad_begin[2] - span - 1;
    outside = beyond < 0 ? inside : std::clamp(beyond / s.stride[2] + 1, inside, s.out[2]);
  }
  for (int64_t i = 0; i < s.out[2]; ++i, dst += inner) {
    if (i == inside && outside > inside && inner % lanes == 0) {
      const int64_t width = s.kernel[2], between = s.stride[2] * inner;
      const int64_t count = s.kind == PoolKind::AveragePadded ? z.padded * y.padded * width : depth * height * width;
      const float scale = count > 0 ? 1.0f / static_cast<float>(count) : 0.0f;
      const float *from = first_row + (i * s.stride[2] - s.pad_begin[2]) * inner;
      for (; i < outside; from += between, dst += inner, ++i) {
        const bool four = i + 4 <= outside;
        for (int64_t c = 0; c < inner; c += lanes) {
          const auto pool = [&]<int kTaps, int kPixels>() HWY_ATTR {
            PoolPixels<kMax, kTaps, kPixels>(d, depth, height, width, steps, from + c, between, scale, dst + c, inner);
          };
          if (width == kWidth)
            four ? pool.template operator()<kWidth, 4>() : pool.template operator()<kWidth, 1>();
          else
            four ? pool.template operator()<0, 4>() : pool.template operator()<0, 1>();
        }
        if (four) from += 3 * between, dst += 3 * inner, i += 3;
      }
      if (i == s.out[2]) break;
    }
    const auto x = s.reach(2, i);
    const int64_t width = x.last - x.first;
    float scale = 1;
    if constexpr (!kMax) {
      const int64_t count = s.kind == PoolKind::AveragePadded ? z.padded * y.padded * x.padded : depth * height * width;
      scale = count > 0 ? 1.0f / static_cast<float>(count) : 0.0f;
    }
    const float *first = first_row + (x.origin + x.first * s.dilation[2]) * inner;
    for (int64_t c = 0; c < inner; c += lanes) {
      const float *from = first + c;
      const size_t n = static_cast<size_t>(std::min(lanes, inner - c));
      const bool full = n == static_cast<size_t>(lanes);
      const auto load = [&](int64_t at) { return hn::LoadU(d, from + at); };
      const auto load_some = [&](int64_t at) { return hn::LoadN(d, from + at, n); };
      auto sum = !full             ? PoolTaps<kMax, 0>(d, depth, height, width, steps, load_some)
                 : width == kWidth ? PoolTaps<kMax, kWidth>(d, depth, height, width, steps, load)
                                   : PoolTaps<kMax, 0>(d, depth, height, width, steps, load);
      if constexpr (!kMax) sum = hn::Mul(sum, hn::Set(d, scale));
      if (full)
        hn::StoreU(sum, d, dst + c);
      else
        hn::StoreN(sum, d, dst + c, n);
    }
  }
}

void PoolRows(const PoolShape &s, int64_t inner, const float *src, float *dst, int64_t begin, int64_t end) {
  const int64_t rows = s.out[0] * s.out[1];
  const VectorPlace place{inner, s.in_pixels() * inner, s.out_pixels() * inner};
  for (int64_t job = begin; job < end; ++job) {
    const auto z = s.reach(0, job % rows / s.out[1]), y = s.reach(1, job % s.out[1]);
    const float *from = src + job / rows * place.src_outer;
    float *to = dst + job * s.out[2] * inner;
    if (s.kind != PoolKind::Max)
      PoolRow<false, 2>(s, place, from, to, z, y);
    else if (s.kernel[2] == 2)
      PoolRow<true, 2>(s, place, from, to, z, y);
    else
      PoolRow<true, 3>(s, place, from, to, z, y);
  }
}

// Over all pixels, four of which are in flight at a time.
template <bool kMax>
HWY_INLINE void GlobalPlane(int64_t pixels, int64_t inner, float scale, const float *src, float *dst) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < inner; c += lanes) {
    const size_t n = static_cast<size_t>(std::min(lanes, inner - c));
    const auto load = [&](int64_t i) {
      const float *p = src + i * inner + c;
      return n == static_cast<size_t>(lanes) ? hn::LoadU(d, p) : hn::LoadN(d, p, n);
    };
    Pooled<kMax, decltype(d)> p0(d), p1(d), p2(d), p3(d);
    int64_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
      p0.Take(load(i));
      p1.Take(load(i + 1));
      p2.Take(load(i + 2));
      p3.Take(load(i + 3));
    }
    for (; i < pixels; ++i) p0.Take(load(i));
    p0.Take(p1);
    p2.Take(p3);
    p0.Take(p2);
    auto value = p0.Value();
    if constexpr (!kMax) value = hn::Mul(value, hn::Set(d, scale));
    if (HWY_UNLIKELY(p0.Unsure(d)))
      for (i = 0; i < pixels; ++i) value = Larger(value, load(i));
    hn::StoreN(value, d, dst + c, n);
  }
}

// Planes [begin, end) of `inner` channels each, every one pooled to a single
// pixel.
void GlobalPlanes(const PoolShape &s, int64_t inner, const float *src, float *dst, int64_t begin, int64_t end) {
  const int64_t pixels = s.in_pixels();
  const float scale = 1.0f / static_cast<float>(pixels);
  for (int64_t i = begin; i < end; ++i) {
    const float *from = src + i * pixels * inner;
    if (s.kind == PoolKind::Max)
      GlobalPlane<true>(pixels, inner, scale, from, dst + i * inner);
    else
      GlobalPlane<false>(pixels, inner, scale, from, dst + i * inner);
  }
}

template <bool kMax>
HWY_INLINE float GlobalChannel(int64_t pixels, const float *src) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  Pooled<kMax, decltype(d)> p0(d), p1(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= pixels; i += 2 * lanes) {
    p0.Take(hn::LoadU(d, src + i));
    p1.Take(hn::LoadU(d, src + i + lanes));
  }
  p0.Take(p1);
  float pooled = kMax ? hn::ReduceMax(d, p0.Value()) : hn::ReduceSum(d, p0.Value());
  if (HWY_UNLIKELY(p0.Unsure(d))) {
    pooled = src[0];
    i = 1;
  }
  if constexpr (!kMax) {
    for (; i < pixels; ++i) pooled += src[i];
    return pooled / static_cast<float>(pixels);
  }
  for (; i < pixels; ++i)
    if (pooled == pooled && !(src[i] <= pooled)) pooled = src[i];
  return pooled;
}

// Channels [begin, end) of a row-major tensor.
void GlobalChannels(const PoolShape &s, const float *src, float *dst, int64_t begin, int64_t end) {
  const int64_t pixels = s.in_pixels();
  for (int64_t i = begin; i < end; ++i)
    dst[i] = s.kind == PoolKind::Max ? GlobalChannel<true>(pixels, src + i * pixels)
                                     : GlobalChannel<false>(pixels, src + i * pixels);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(PoolRows);
HWY_EXPORT(GlobalPlanes);
HWY_EXPORT(GlobalChannels);

void pool_vector(const PoolShape &s, Layout layout, const float *src, float *dst, const Parallel &parallel) {
  const int64_t block = channel_block(layout);
  const bool last = layout == Layout::Nhwc;
  const int64_t inner = last ? s.channels : block;
  const int64_t planes = s.batch * (last ? 1 : (s.channels + block - 1) / block);
  const bool every_pixel = s.kernel == s.in && s.dilation == PoolShape::Spatial{1, 1, 1};
  if (s.out_pixels() == 1 && every_pixel && s.pad_begin == PoolShape::Spatial{}) {
    parallel.range(planes, std::max<int64_t>(16384 / std::max<int64_t>(inner * s.in_pixels(), 1), 1),
                   [&](int64_t begin, int64_t end) {
                     HWY_DYNAMIC_DISPATCH(GlobalPlanes)
                     (s, inner, src, dst, begin, end);
                   });
    return;
  }
  const int64_t row_cost = s.out[2] * inner * s.taps();
  parallel.range(planes * s.out[0] * s.out[1], 32768 / std::max<int64_t>(row_cost, 1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(PoolRows)(s, inner, src, dst, begin, end);
  });
}

void pool_global(const PoolShape &s, const float *src, float *dst, const Parallel &parallel) {
  parallel.range(s.batch * s.channels, 16384 / std::max<int64_t>(s.in_pixels(), 1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(GlobalChannels)(s, src, dst, begin, end);
  });
}

}  // namespace fastort::kernels
#endif
