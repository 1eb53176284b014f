// The fused activations on vectors, for inclusion under Highway's foreach_target.h.
#if defined(FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_
#undef FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_
#else
#define FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/activation.h"
#include "kernels/elementwise/exp-pair-inl.h"
#include "kernels/elementwise/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The curves for several vectors step by step side by side: one alone waits for its own results, and those that follow
// it do not fit into the window of the processor.
#define FASTORT_EACH _Pragma("GCC unroll 6") for (int i = 0; i < kN; ++i)
template <int kN, class D, class V>
HWY_INLINE void Gelus(D d, V (&x)[kN]) {
  const hn::RebindToUnsigned<D> du;
  const V magic = hn::Set(d, 12582912.0f), one = hn::Set(d, 1.0f);
  V a[kN], q[kN], shifted[kN], tail[kN];
  FASTORT_EACH a[i] = AtMost(d, hn::Abs(x[i]), 30.0f);
  FASTORT_EACH q[i] = hn::Set(d, kGeluQ[10]);
#pragma GCC unroll 10
  for (int k = 9; k >= 0; --k) {
    const V coefficient = hn::Set(d, kGeluQ[k]);
    FASTORT_EACH q[i] = hn::MulAdd(q[i], a[i], coefficient);
  }
  // 2^-127 comes out as 0.
  FASTORT_EACH q[i] = AtMost(d, q[i], 127.0f);
  FASTORT_EACH shifted[i] = hn::Sub(magic, q[i]);
  FASTORT_EACH q[i] = hn::Add(q[i], hn::Sub(shifted[i], magic));
  FASTORT_EACH tail[i] = hn::Set(d, kGeluP[6]);
#pragma GCC unroll 6
  for (int k = 5; k >= 0; --k) {
    const V coefficient = hn::Set(d, kGeluP[k]);
    FASTORT_EACH tail[i] = hn::MulAdd(tail[i], q[i], coefficient);
  }
  FASTORT_EACH tail[i] = hn::Mul(tail[i], PowerOfTwo(d, hn::BitCast(du, shifted[i])));
  FASTORT_EACH x[i] = hn::Mul(x[i], hn::IfNegativeThenElse(x[i], tail[i], hn::Sub(one, tail[i])));
}

// x sigmoid(z). Factors below 2^-126 become 0.
template <int kN, class D, class V>
HWY_INLINE void times_sigmoid(D d, V (&x)[kN], const V (&z)[kN]) {
  const V one = hn::Set(d, 1.0f);
  V e[kN];
  FASTORT_EACH e[i] = hn::Neg(hn::Abs(z[i]));
  ExpsOfNegative(d, e);
  FASTORT_EACH x[i] = hn::Mul(x[i], hn::Div(hn::IfNegativeThenElse(z[i], e[i], one), hn::Add(e[i], one)));
}

// x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
template <int kN, class D, class V>
HWY_INLINE void GelusTanh(D d, V (&x)[kN]) {
  const V cube = hn::Set(d, 0.0713548162726f), line = hn::Set(d, 1.5957691216f);
  V z[kN];
  FASTORT_EACH z[i] = hn::Mul(x[i], hn::MulAdd(hn::Mul(x[i], x[i]), cube, line));
  times_sigmoid(d, x, z);
}

template <int kN, class D, class V>
HWY_INLINE void Silus(D d, V (&x)[kN]) {
  V z[kN];
  FASTORT_EACH z[i] = x[i];
  times_sigmoid(d, x, z);
}
#undef FASTORT_EACH

// Vectors that fill the registers.
template <Activation kKind>
inline constexpr int kSideBySide = kKind == Activation::Gelu                                    ? 6
                                   : kKind == Activation::GeluTanh || kKind == Activation::Silu ? 4
                                                                                                : 0;
template <Activation kKind, int kN, class D, class V>
HWY_INLINE void activate_together(D d, V (&x)[kN]) {
  if constexpr (kKind == Activation::Gelu) {
    Gelus(d, x);
  } else if constexpr (kKind == Activation::GeluTanh) {
    GelusTanh(d, x);
  } else {
    Silus(d, x);
  }
}

template <Activation kKind, class D, class V = hn::Vec<D>>
HWY_INLINE V activate(D d, V x, V alpha, V beta) {
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0f), half = hn::Set(d, 0.5f);
  // With NaN as the second operand of Min and Max the result is NaN on every target.
  if constexpr (kKind == Activation::Relu) {
    return hn::Max(zero, x);
  } else if constexpr (kKind == Activation::LeakyRelu) {
    return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, x), x);
  } else if constexpr (kKind == Activation::Clip) {
    return hn::Min(beta, hn::Max(alpha, x));
  } else if constexpr (kKind == Activation::Sigmoid) {
    return Sigmoid(d, x);
  } else if constexpr (kKind == Activation::Tanh) {
    return Tanh(d, x);
  } else if constexpr (kKind == Activation::HardSigmoid) {
    return hn::Min(one, hn::Max(zero, hn::MulAdd(alpha, x, beta)));
  } else if constexpr (kKind == Activation::HardSwish) {
    return hn::Mul(x, hn::Min(one, hn::Max(zero, hn::MulAdd(x, hn::Set(d, 1.0f / 6), half))));
  } else if constexpr (kSideBySide<kKind> > 0) {
    V alone[1] = {x};
    activate_together<kKind>(d, alone);
    return alone[0];
  } else {
    return x;
  }
}

template <Activation kKind, class D>
HWY_NOINLINE void activate_array(D d, const ActivationSpec& spec, float* data, int64_t count) {
  const auto alpha = hn::Set(d, spec.alpha), beta = hn::Set(d, spec.beta);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  if constexpr (kSideBySide<kKind> > 0) {
    constexpr int kN = kSideBySide<kKind>;
    for (; i + kN * lanes <= count; i += kN * lanes) {
      hn::Vec<D> x[kN];
#pragma GCC unroll 6
      for (int j = 0; j < kN; ++j) x[j] = hn::LoadU(d, data + i + j * lanes);
      activate_together<kKind>(d, x);
#pragma GCC unroll 6
      for (int j = 0; j < kN; ++j) hn::StoreU(x[j], d, data + i + j * lanes);
    }
  }
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(activate<kKind>(d, hn::LoadU(d, data + i), alpha, beta), d, data + i);
  if (i < count) {
    const size_t rest = static_cast<size_t>(count - i);
    hn::StoreN(activate<kKind>(d, hn::LoadN(d, data + i, rest), alpha, beta), d, data + i, rest);
  }
}

template <class D>
HWY_INLINE void activate_array(D d, const ActivationSpec& spec, float* data, int64_t count) {
  switch (spec.kind) {
    case Activation::None:
      return;
    case Activation::Relu:
      return activate_array<Activation::Relu>(d, spec, data, count);
    case Activation::LeakyRelu:
      return activate_array<Activation::LeakyRelu>(d, spec, data, count);
    case Activation::Clip:
      return activate_array<Activation::Clip>(d, spec, data, count);
    case Activation::Sigmoid:
      return activate_array<Activation::Sigmoid>(d, spec, data, count);
    case Activation::Tanh:
      return activate_array<Activation::Tanh>(d, spec, data, count);
    case Activation::HardSigmoid:
      return activate_array<Activation::HardSigmoid>(d, spec, data, count);
    case Activation::HardSwish:
      return activate_array<Activation::HardSwish>(d, spec, data, count);
    case Activation::Silu:
      return activate_array<Activation::Silu>(d, spec, data, count);
    case Activation::Gelu:
      return activate_array<Activation::Gelu>(d, spec, data, count);
    case Activation::GeluTanh:
      return activate_array<Activation::GeluTanh>(d, spec, data, count);
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
