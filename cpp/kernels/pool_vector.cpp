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
  int64_t src_outer;  // from one plane (a block of channels, or an image) to the next
  int64_t dst_outer;
};

template <bool kMax, class DF, class V = hn::Vec<DF>>
HWY_INLINE V Combine(DF, V sum, V value) {
  // With the sum as the second operand a NaN is passed over, as in the plain kernel.
  if constexpr (kMax)
    return hn::Max(value, sum);
  else
    return hn::Add(sum, value);
}

// The taps of one output pixel in one vector of channels. kWidth is the kernel's width where it is known.
template <bool kMax, int kWidth, class DF, class Load>
HWY_INLINE hn::Vec<DF> PoolTaps(DF d, int64_t depth, int64_t height, int64_t width, const int64_t* steps, Load load) {
  auto sum = hn::Set(d, kMax ? -std::numeric_limits<float>::infinity() : 0.0f);
  for (int64_t kz = 0; kz < depth; ++kz)
    for (int64_t ky = 0; ky < height; ++ky) {
      const int64_t at = kz * steps[0] + ky * steps[1];
      if constexpr (kWidth > 0) {
#pragma GCC unroll 3
        for (int64_t kx = 0; kx < kWidth; ++kx) sum = Combine<kMax>(d, sum, load(at + kx * steps[2]));
      } else {
        for (int64_t kx = 0; kx < width; ++kx) sum = Combine<kMax>(d, sum, load(at + kx * steps[2]));
      }
    }
  return sum;
}

template <bool kMax, int kWidth>
HWY_INLINE void PoolRow(const PoolShape& s, const VectorPlace& place, const float* src, float* dst,
                        const PoolShape::Reach& z, const PoolShape::Reach& y) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), inner = place.inner, row = s.in[2] * inner;
  const int64_t steps[3] = {s.dilation[0] * s.in[1] * row, s.dilation[1] * row, s.dilation[2] * inner};
  const int64_t depth = z.last - z.first, height = y.last - y.first;
  const float* first_row =
      src + ((z.origin + z.first * s.dilation[0]) * s.in[1] + y.origin + y.first * s.dilation[1]) * row;
  for (int64_t i = 0; i < s.out[2]; ++i, dst += inner) {
    const auto x = s.reach(2, i);
    const int64_t width = x.last - x.first;
    float scale = 1;
    if constexpr (!kMax) {
      const int64_t count = s.kind == PoolKind::AveragePadded ? z.padded * y.padded * x.padded : depth * height * width;
      scale = count > 0 ? 1.0f / static_cast<float>(count) : 0.0f;
    }
    const float* first = first_row + (x.origin + x.first * s.dilation[2]) * inner;
    for (int64_t c = 0; c < inner; c += lanes) {
      const float* from = first + c;
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

void PoolRows(const PoolShape& s, int64_t inner, const float* src, float* dst, int64_t begin, int64_t end) {
  const int64_t rows = s.out[0] * s.out[1];
  const VectorPlace place{inner, s.in_pixels() * inner, s.out_pixels() * inner};
  for (int64_t job = begin; job < end; ++job) {
    const auto z = s.reach(0, job % rows / s.out[1]), y = s.reach(1, job % s.out[1]);
    const float* from = src + job / rows * place.src_outer;
    float* to = dst + job * s.out[2] * inner;
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
HWY_INLINE void GlobalPlane(int64_t pixels, int64_t inner, float scale, const float* src, float* dst) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto start = hn::Set(d, kMax ? -std::numeric_limits<float>::infinity() : 0.0f);
  for (int64_t c = 0; c < inner; c += lanes) {
    const size_t n = static_cast<size_t>(std::min(lanes, inner - c));
    const auto load = [&](int64_t i) {
      const float* p = src + i * inner + c;
      return n == static_cast<size_t>(lanes) ? hn::LoadU(d, p) : hn::LoadN(d, p, n);
    };
    auto s0 = start, s1 = start, s2 = start, s3 = start;
    int64_t i = 0;
    for (; i + 4 <= pixels; i += 4) {
      s0 = Combine<kMax>(d, s0, load(i));
      s1 = Combine<kMax>(d, s1, load(i + 1));
      s2 = Combine<kMax>(d, s2, load(i + 2));
      s3 = Combine<kMax>(d, s3, load(i + 3));
    }
    for (; i < pixels; ++i) s0 = Combine<kMax>(d, s0, load(i));
    auto sum = Combine<kMax>(d, Combine<kMax>(d, s0, s1), Combine<kMax>(d, s2, s3));
    if constexpr (!kMax) sum = hn::Mul(sum, hn::Set(d, scale));
    hn::StoreN(sum, d, dst + c, n);
  }
}

// Planes [begin, end) of `inner` channels each, every one pooled to a single pixel.
void GlobalPlanes(const PoolShape& s, int64_t inner, const float* src, float* dst, int64_t begin, int64_t end) {
  const int64_t pixels = s.in_pixels();
  const float scale = 1.0f / static_cast<float>(pixels);
  for (int64_t i = begin; i < end; ++i) {
    const float* from = src + i * pixels * inner;
    if (s.kind == PoolKind::Max)
      GlobalPlane<true>(pixels, inner, scale, from, dst + i * inner);
    else
      GlobalPlane<false>(pixels, inner, scale, from, dst + i * inner);
  }
}

template <bool kMax>
HWY_INLINE float GlobalChannel(int64_t pixels, const float* src) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float start = kMax ? -std::numeric_limits<float>::infinity() : 0.0f;
  auto s0 = hn::Set(d, start), s1 = s0;
  int64_t i = 0;
  for (; i + 2 * lanes <= pixels; i += 2 * lanes) {
    s0 = Combine<kMax>(d, s0, hn::LoadU(d, src + i));
    s1 = Combine<kMax>(d, s1, hn::LoadU(d, src + i + lanes));
  }
  const auto both = Combine<kMax>(d, s0, s1);
  float sum = kMax ? hn::ReduceMax(d, both) : hn::ReduceSum(d, both);
  for (; i < pixels; ++i) sum = !kMax ? sum + src[i] : src[i] > sum ? src[i] : sum;
  return kMax ? sum : sum / static_cast<float>(pixels);
}

// Channels [begin, end) of a row-major tensor.
void GlobalChannels(const PoolShape& s, const float* src, float* dst, int64_t begin, int64_t end) {
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

void pool_vector(const PoolShape& s, Layout layout, const float* src, float* dst, const Parallel& parallel) {
  const int64_t block = channel_block(layout);
  const bool last = layout == Layout::Nhwc;
  const int64_t inner = last ? s.channels : block;
  const int64_t planes = s.batch * (last ? 1 : (s.channels + block - 1) / block);
  if (s.out_pixels() == 1 && s.kernel == s.in && s.pad_begin == PoolShape::Spatial{}) {
    parallel.range(planes, std::max<int64_t>(16384 / std::max<int64_t>(inner * s.in_pixels(), 1), 1),
                   [&](int64_t begin, int64_t end) {
                     HWY_DYNAMIC_DISPATCH(GlobalPlanes)(s, inner, src, dst, begin, end);
                   });
    return;
  }
  const int64_t row_cost = s.out[2] * inner * s.taps();
  parallel.range(planes * s.out[0] * s.out[1], 32768 / std::max<int64_t>(row_cost, 1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(PoolRows)(s, inner, src, dst, begin, end);
  });
}

void pool_global(const PoolShape& s, const float* src, float* dst, const Parallel& parallel) {
  parallel.range(s.batch * s.channels, 16384 / std::max<int64_t>(s.in_pixels(), 1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(GlobalChannels)(s, src, dst, begin, end);
  });
}

}  // namespace fastort::kernels
#endif
