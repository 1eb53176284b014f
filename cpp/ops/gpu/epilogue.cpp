#include "ops/gpu/epilogue.h"

namespace fastort::gpu {

EpilogueFunction epilogue_function(const ActivationSpec& spec) {
  using kernels::UnaryOp;
  auto function = [](UnaryOp op, kernels::UnaryParams params = {}) {
    return EpilogueFunction{static_cast<uint32_t>(op), params};
  };
  switch (spec.kind) {
    case Activation::None:
      return {};
    case Activation::Relu:
      return function(UnaryOp::Relu);
    case Activation::LeakyRelu:
      return function(UnaryOp::LeakyRelu, {spec.alpha, 0});
    case Activation::Clip:
      return function(UnaryOp::Clip, {spec.alpha, spec.beta});
    case Activation::Sigmoid:
      return function(UnaryOp::Sigmoid);
    case Activation::Tanh:
      return function(UnaryOp::Tanh);
    case Activation::HardSigmoid:
      return function(UnaryOp::HardSigmoid, {spec.alpha, spec.beta});
    case Activation::HardSwish:
      return function(UnaryOp::HardSwish);
    case Activation::Silu:
      return function(UnaryOp::Silu, {1, 0});
    case Activation::Gelu:
      return function(UnaryOp::Gelu);
    case Activation::GeluTanh:
      return function(UnaryOp::GeluTanh);
  }
  return {};
}

}  // namespace fastort::gpu
