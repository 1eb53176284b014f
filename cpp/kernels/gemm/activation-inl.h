// The fused activations on vectors, for inclusion under Highway's foreach_target.h.
#if defined(FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_
#undef FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_
#else
#define FASTORT_KERNELS_GEMM_ACTIVATION_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/activation.h"
#include "kernels/elementwise/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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
  } else if constexpr (kKind == Activation::Silu) {
    return hn::Mul(x, Sigmoid(d, x));
  } else if constexpr (kKind == Activation::Gelu) {
    return Gelu(d, x);
  } else if constexpr (kKind == Activation::GeluTanh) {
    return GeluTanh(d, x);
  } else {
    return x;
  }
}

template <Activation kKind, class D>
HWY_NOINLINE void activate_array(D d, const ActivationSpec& spec, float* data, int64_t count) {
  const auto alpha = hn::Set(d, spec.alpha), beta = hn::Set(d, spec.beta);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
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
