// The exponential under softmax, for inclusion under Highway's foreach_target.h.
#if defined(FASTORT_ELEMENTWISE_EXP_PAIR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_ELEMENTWISE_EXP_PAIR_INL_H_
#undef FASTORT_ELEMENTWISE_EXP_PAIR_INL_H_
#else
#define FASTORT_ELEMENTWISE_EXP_PAIR_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/elementwise/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^(n + f) for |f| <= 1/2 from `shifted`, whose low bits are n + 127. Vectors go step by step side by side, so that
// they share the loads of the coefficients and do not wait for their own results.
template <int kN, class D, class V>
HWY_INLINE void PowersFromParts(D d, const V (&f)[kN], const V (&shifted)[kN], V (&x)[kN]) {
  static constexpr float kP[] = {1.0f,           0.6931471825f,   0.2402264625f, 0.05550328642f, 0.009618489072f,
                                 0.00133999309f, 0.0001534581243f};
  const hn::RebindToUnsigned<D> du;
  V y[kN];
#define FASTORT_EACH _Pragma("GCC unroll 4") for (int i = 0; i < kN; ++i)
  FASTORT_EACH y[i] = hn::Set(d, kP[6]);
#pragma GCC unroll 6
  for (int k = 5; k >= 0; --k) {
    const V coefficient = hn::Set(d, kP[k]);
    FASTORT_EACH y[i] = hn::MulAdd(y[i], f[i], coefficient);
  }
  FASTORT_EACH x[i] = hn::Mul(y[i], hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, shifted[i]))));
#undef FASTORT_EACH
}

// Added to a number in [-127, 127], rounds it to an integer n and leaves n + 127 in the low bits; n of -127 gives 0.
constexpr float kExponentMagic = 12583039.0f;

// e^x for x <= 0 or NaN, below 1.3 ulp; results below 2^-126 may become 0.
template <int kN, class D, class V>
HWY_INLINE void ExpsOfNegative(D d, V (&x)[kN]) {
  const V magic = hn::Set(d, kExponentMagic), log2e = hn::Set(d, 1.44269504f);
  const V log2e_rest = hn::Set(d, 1.925963033e-8f);
  V shifted[kN], f[kN];
#define FASTORT_EACH _Pragma("GCC unroll 4") for (int i = 0; i < kN; ++i)
  FASTORT_EACH x[i] = AtLeast(d, x[i], -88.0f);
  FASTORT_EACH shifted[i] = hn::MulAdd(x[i], log2e, magic);
  FASTORT_EACH f[i] = hn::Sub(shifted[i], magic);
  FASTORT_EACH f[i] = hn::MulSub(x[i], log2e, f[i]);
  FASTORT_EACH f[i] = hn::MulAdd(x[i], log2e_rest, f[i]);
#undef FASTORT_EACH
  PowersFromParts(d, f, shifted, x);
}

template <class D, class V>
HWY_INLINE V ExpLikePairs(D d, V x) {
  V one[1] = {x};
  ExpsOfNegative(d, one);
  return one[0];
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
