#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace fastort {

// Activation of a fused epilogue, named as in com.microsoft FusedConv plus Silu, HardSwish, Gelu (exact), GeluTanh.
enum class Activation : uint8_t {
  None,
  Relu,
  LeakyRelu,
  Clip,
  Sigmoid,
  Tanh,
  HardSigmoid,
  HardSwish,
  Silu,
  Gelu,
  GeluTanh
};

// With its parameters: LeakyRelu and HardSigmoid have alpha, HardSigmoid also beta; Clip's bounds are alpha and beta.
struct ActivationSpec {
  Activation kind = Activation::None;
  float alpha = 0;
  float beta = 0;
};

// The meaning of each activation, for reference kernels.
template <class T>
T activate(const ActivationSpec& spec, T x) {
  const T alpha = static_cast<T>(spec.alpha), beta = static_cast<T>(spec.beta);
  switch (spec.kind) {
    case Activation::None:
      return x;
    case Activation::Relu:
      return x < 0 ? T{0} : x;
    case Activation::LeakyRelu:
      return x < 0 ? alpha * x : x;
    case Activation::Clip:
      return x < alpha ? alpha : x > beta ? beta : x;
    case Activation::Sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::Tanh:
      return std::tanh(x);
    case Activation::HardSigmoid:
      return std::clamp<T>(alpha * x + beta, 0, 1);
    case Activation::HardSwish:
      return x * std::clamp<T>(x / 6 + T{0.5}, 0, 1);
    case Activation::Silu:
      return x / (1 + std::exp(-x));
    case Activation::Gelu:
      return x / 2 * (1 + std::erf(x * T{0.70710678118654752440}));
    case Activation::GeluTanh:
      return x / 2 * (1 + std::tanh(T{0.79788456080286535588} * (x + T{0.044715} * x * x * x)));
  }
  return x;
}

}  // namespace fastort
