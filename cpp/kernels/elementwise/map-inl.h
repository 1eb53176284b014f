// The loop of every unary float32 function, for inclusion under Highway's foreach_target.h.

#if defined(FASTORT_ELEMENTWISE_MAP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_ELEMENTWISE_MAP_INL_H_
#undef FASTORT_ELEMENTWISE_MAP_INL_H_
#else
#define FASTORT_ELEMENTWISE_MAP_INL_H_
#endif

#include <cstdint>

#include "kernels/elementwise/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// dst[i] = f(d, src[i]); `src` and `dst` are equal or do not overlap.
template <class F>
HWY_INLINE void Map(const float* src, float* dst, int64_t n, F&& f) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  // Two vectors at a time hide the latency of the polynomials.
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto y0 = f(d, hn::LoadU(d, src + i));
    const auto y1 = f(d, hn::LoadU(d, src + i + lanes));
    hn::StoreU(y0, d, dst + i);
    hn::StoreU(y1, d, dst + i + lanes);
  }
  for (; i < n; i += lanes) {
    const size_t left = static_cast<size_t>(n - i);
    hn::StoreN(f(d, hn::LoadN(d, src + i, left)), d, dst + i, left);
  }
}

template <class D, class V>
HWY_INLINE V Shrink(D d, V x, float lambda, float bias) {
  const V b = hn::Set(d, bias);
  const V low = hn::IfThenElseZero(hn::Lt(x, hn::Set(d, -lambda)), hn::Add(x, b));
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, lambda)), hn::Sub(x, b), low);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
