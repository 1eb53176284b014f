// Vector functions of float32, for inclusion under Highway's foreach_target.h. Errors are below 2 ulp of the result
// unless said otherwise; infinities, NaN and subnormal numbers give what <cmath> gives.
// The polynomials are minimax fits (Remez) of the functions named beside them.

#if defined(FASTORT_ELEMENTWISE_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_ELEMENTWISE_MATH_INL_H_
#undef FASTORT_ELEMENTWISE_MATH_INL_H_
#else
#define FASTORT_ELEMENTWISE_MATH_INL_H_
#endif

#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V>
HWY_INLINE V Polynomial(D d, V x, const float* coefficients, int degree) {
  V sum = hn::Set(d, coefficients[degree]);
#pragma GCC unroll 12
  for (int i = degree - 1; i >= 0; --i) sum = hn::MulAdd(sum, x, hn::Set(d, coefficients[i]));
  return sum;
}

// The same with a short chain of dependent operations, for finite x alone.
template <int kDegree, class D, class V>
HWY_INLINE V ShallowPolynomial(D d, V x, const float* coefficients) {
  V terms[kDegree / 2 + 1];
#pragma GCC unroll 8
  for (int i = 0; i <= kDegree / 2; ++i) {
    terms[i] = hn::Set(d, coefficients[2 * i]);
    if (2 * i < kDegree) terms[i] = hn::MulAdd(x, hn::Set(d, coefficients[2 * i + 1]), terms[i]);
  }
  V power = x;
#pragma GCC unroll 4
  for (int count = kDegree / 2 + 1; count > 1; count = (count + 1) / 2) {
    power = hn::Mul(power, power);
#pragma GCC unroll 8
    for (int i = 0; 2 * i < count; ++i)
      terms[i] = 2 * i + 1 < count ? hn::MulAdd(terms[2 * i + 1], power, terms[2 * i]) : terms[2 * i];
  }
  return terms[0];
}

// NaN stays NaN: of two operands of which one is NaN, x86 takes the second and NEON the NaN.
template <class D, class V>
HWY_INLINE V AtLeast(D d, V x, float low) {
  return hn::Max(hn::Set(d, low), x);
}
template <class D, class V>
HWY_INLINE V AtMost(D d, V x, float high) {
  return hn::Min(hn::Set(d, high), x);
}

// x = n ln 2 + r with |r| <= ln(2)/2.
template <class D>
struct ReducedExp {
  hn::Vec<D> expm1;                       // e^r - 1
  hn::Vec<hn::RebindToUnsigned<D>> bits;  // n in the low bits
};

// For |x| below 2^21. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
template <class D, class V>
HWY_INLINE ReducedExp<D> ReduceExp(D d, V x) {
  static constexpr float kP[] = {0.4999999325f, 0.1666651777f, 0.04166842141f, 0.008369063298f, 0.001381390805f};
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  return {hn::MulAdd(hn::Mul(r, r), Polynomial(d, r, kP, 4), r), hn::BitCast(du, shifted)};
}

// 2^n for n in [-126, 127], n in the low bits.
template <class D, class VU>
HWY_INLINE hn::Vec<D> PowerOfTwo(D d, VU bits) {
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::Add(hn::ShiftLeft<23>(bits), hn::Set(du, 0x3f800000u)));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  const hn::RebindToSigned<D> di;
  const hn::RebindToUnsigned<D> du;
  const auto reduced = ReduceExp(d, AtMost(d, AtLeast(d, x, -104.0f), 89.0f));
  // Two factors: results below 2^-126 round once, results above the range become infinite.
  const auto n = hn::Sub(hn::BitCast(di, reduced.bits), hn::Set(di, 0x4b400000));
  const auto half = hn::ShiftRight<1>(n);
  const V y = hn::Add(reduced.expm1, hn::Set(d, 1.0f));
  return hn::Mul(hn::Mul(y, PowerOfTwo(d, hn::BitCast(du, half))), PowerOfTwo(d, hn::BitCast(du, hn::Sub(n, half))));
}

// e^x for x <= 0 or NaN; results below 2^-126 become 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpOfNegative(D d, V x) {
  const auto reduced = ReduceExp(d, AtLeast(d, x, -87.4f));
  const V s = PowerOfTwo(d, reduced.bits);
  // e^-87.4 itself is below 2^-126 and would be lost in the least number: take it away.
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.33f)), hn::MulAdd(reduced.expm1, s, s));
}

// e^x - 1 for x at most 88 (larger x give the value at 88).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Expm1(D d, V x) {
  const auto reduced = ReduceExp(d, AtMost(d, AtLeast(d, x, -20.0f), 88.0f));
  const V s = PowerOfTwo(d, reduced.bits);
  return hn::MulAdd(reduced.expm1, s, hn::Sub(s, hn::Set(d, 1.0f)));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  const V a = AtMost(d, hn::Abs(x), 10.0f);
  const auto reduced = ReduceExp(d, hn::Add(a, a));
  const V s = PowerOfTwo(d, reduced.bits);
  const V t = hn::MulAdd(reduced.expm1, s, hn::Sub(s, hn::Set(d, 1.0f)));
  return hn::CopySign(hn::Div(t, hn::Add(t, hn::Set(d, 2.0f))), x);
}

// Results below 2^-126 become 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V e = ExpOfNegative(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), hn::Add(e, one));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Log(D d, V x) {
  static constexpr float kP[] = {0.3333331261f,  -0.2500000954f, 0.2000211837f,  -0.1666799892f, 0.1421956144f,
                                 -0.1240553837f, 0.1188804003f,  -0.1167591306f, 0.06747242238f};
  const hn::RebindToSigned<D> di;
  const auto tiny = hn::Lt(x, hn::Set(d, std::numeric_limits<float>::min()));
  const V scaled = hn::IfThenElse(tiny, hn::Mul(x, hn::Set(d, 8388608.0f)), x);
  const auto bits = hn::BitCast(di, scaled);
  const auto e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));
  const V f = hn::Sub(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(e))), hn::Set(d, 1.0f));
  V ef = hn::ConvertTo(d, e);
  ef = hn::IfThenElse(tiny, hn::Sub(ef, hn::Set(d, 23.0f)), ef);
  const V f2 = hn::Mul(f, f);
  V y = hn::Mul(hn::Mul(f2, f), Polynomial(d, f, kP, 8));
  y = hn::MulAdd(ef, hn::Set(d, -2.12194440e-4f), y);
  y = hn::NegMulAdd(hn::Set(d, 0.5f), f2, y);
  y = hn::MulAdd(ef, hn::Set(d, 0.693359375f), hn::Add(f, y));
  const V inf = hn::Set(d, std::numeric_limits<float>::infinity());
  y = hn::IfThenElse(hn::Eq(x, inf), inf, y);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(inf), y);
  // Negative numbers and NaN.
  return hn::IfThenElse(hn::Ge(x, hn::Zero(d)), y, hn::Set(d, std::numeric_limits<float>::quiet_NaN()));
}

// log(1 + x) for x in [0, 1].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Log1pUnit(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V u = hn::Add(one, x);
  const V lost = hn::Sub(x, hn::Sub(u, one));
  return hn::Add(Log(d, u), hn::Div(lost, u));
}

// log(1 + e^x).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Softplus(D d, V x) {
  return hn::Add(AtLeast(d, x, 0.0f), Log1pUnit(d, Exp(d, hn::Neg(hn::Abs(x)))));
}

// erfc(a) for a >= 0.9, exact to 1e-7 of 1: exp(-q(a)) with q a fit of -log(erfc).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ErfcTail(D d, V a) {
  static constexpr float kQ[] = {-0.0001706527817f, 1.129495657f,    0.6333856152f,     0.1082377802f,
                                 -0.02509226306f,   0.004160823456f, -0.0004323653286f, 2.091501986e-5f};
  return ExpOfNegative(d, hn::Neg(Polynomial(d, a, kQ, 7)));
}

// erf(x) for |x| <= 0.92.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ErfCentre(D d, V x) {
  static constexpr float kP[] = {1.12837915f,     -0.3761249645f,  0.1128184587f,
                                 -0.02676771752f, 0.004994827354f, -0.0005999392815f};
  return hn::Mul(x, Polynomial(d, hn::Mul(x, x), kP, 5));
}

inline constexpr float kErfSplit = 0.92f;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Erf(D d, V x) {
  const V a = hn::Abs(x);
  const V tail = hn::CopySign(hn::Sub(hn::Set(d, 1.0f), ErfcTail(d, a)), x);
  return hn::IfThenElse(hn::Lt(a, hn::Set(d, kErfSplit)), ErfCentre(d, x), tail);
}

// Phi(-a) = 2^-q(a) for a >= 0 with q a fit of degree 10, exact to 2e-9 of 1; and 2^-r for |r| <= 1/2.
inline constexpr float kGeluQ[] = {1.0f,
                                   1.151104331f,
                                   0.4592211246f,
                                   0.05243505538f,
                                   -0.006928165909f,
                                   -2.40913887e-05f,
                                   0.000295700389f,
                                   -8.235182759e-05f,
                                   1.216753753e-05f,
                                   -9.852689118e-07f,
                                   3.420142036e-08f};
inline constexpr float kGeluP[] = {
    1.0f, -0.6931471825f, 0.2402264625f, -0.05550328642f, 0.009618489072f, -0.00133999309f, 0.0001534581243f};

// x Phi(x) = x/2 (1 + erf(x / sqrt 2)); the left tail does not cancel.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Gelu(D d, V x) {
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, 12582912.0f);
  // 2^-127 comes out as 0.
  const V q = AtMost(d, ShallowPolynomial<10>(d, AtMost(d, hn::Abs(x), 30.0f), kGeluQ), 127.0f);
  const V shifted = hn::Sub(magic, q);
  const V r = hn::Add(q, hn::Sub(shifted, magic));
  const V tail = hn::Mul(ShallowPolynomial<6>(d, r, kGeluP), PowerOfTwo(d, hn::BitCast(du, shifted)));
  return hn::Mul(x, hn::IfNegativeThenElse(x, tail, hn::Sub(hn::Set(d, 1.0f), tail)));
}

// x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GeluTanh(D d, V x) {
  const V cubic = hn::MulAdd(hn::Mul(x, x), hn::Set(d, 0.0713548162726f), hn::Set(d, 1.5957691216f));
  return hn::Mul(x, Sigmoid(d, hn::Mul(x, cubic)));
}

// x tanh(softplus(x)) = x n / (n + 2), n = e^x (e^x + 2).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Mish(D d, V x) {
  const V two = hn::Set(d, 2.0f);
  const V e = Exp(d, AtMost(d, x, 20.0f));
  const V n = hn::Mul(e, hn::Add(e, two));
  return hn::Mul(x, hn::Div(n, hn::Add(n, two)));
}

inline constexpr float kSinCosLimit = 8192.0f;

// sin(x + quarter_turns pi/2) for |x| <= kSinCosLimit.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SinShifted(D d, V x, int quarter_turns) {
  static constexpr float kSin[] = {-0.1666666664f, 0.008333329144f, -0.0001983925664f, 2.717564496e-6f};
  static constexpr float kCos[] = {0.04166666662f, -0.001388888344f, 2.479943645e-5f, -2.7203307e-7f};
  const hn::RebindToSigned<D> di;
  const auto n = hn::NearestInt(hn::Mul(x, hn::Set(d, 0.636619772f)));
  const V nf = hn::ConvertTo(d, n);
  // pi/2 in parts whose products with n are exact for the first two.
  V r = hn::NegMulAdd(nf, hn::Set(d, 1.5703125f), x);
  r = hn::NegMulAdd(nf, hn::Set(d, 4.83751296997e-4f), r);
  r = hn::NegMulAdd(nf, hn::Set(d, 7.549790126e-8f), r);
  r = hn::NegMulAdd(nf, hn::Set(d, -1.7151245e-15f), r);
  const V r2 = hn::Mul(r, r);
  const V sine = hn::MulAdd(hn::Mul(r, r2), Polynomial(d, r2, kSin, 3), r);
  const V cosine =
      hn::MulAdd(hn::Mul(r2, r2), Polynomial(d, r2, kCos, 3), hn::NegMulAdd(hn::Set(d, 0.5f), r2, hn::Set(d, 1.0f)));
  const auto quadrant = hn::Add(n, hn::Set(di, quarter_turns));
  const auto one = hn::Set(di, 1);
  const V y = hn::IfThenElse(hn::RebindMask(d, hn::Eq(hn::And(quadrant, one), one)), cosine, sine);
  const auto sign = hn::ShiftLeft<30>(hn::And(quadrant, hn::Set(di, 2)));
  return hn::Xor(y, hn::BitCast(d, sign));
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
