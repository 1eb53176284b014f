#pragma once

#include "kernels/conv/conv_shape.h"
#include "ops/gpu.h"
#include "ops/matmul/matmul.h"

// Products and convolutions of int8 and uint8 with zero points. Operands that are left out have the kind None.
namespace fastort::gpu {

// Operands, and how many numbers each parameter has. Without `y_scale` the result is int32.
struct ByteGemm {
  matmul::Problem problem;
  bool a_signed = false, b_signed = false, y_signed = false;
  GpuOperand a, b, a_zero, b_zero, a_scale, b_scale, y_scale, y_zero;
  int64_t a_zeros = 0, b_zeros = 0, a_scales = 1, b_scales = 1, y_scales = 1, y_zeros = 1;
};
Refusal add_byte_gemm(const ByteGemm& gemm, const GpuTraits& traits, GpuWork& work);

struct ByteConv {
  kernels::ConvShape shape;
  bool x_signed = false, w_signed = false, y_signed = false;
  GpuOperand x, w, x_zero, w_zero, x_scale, w_scale, y_scale, y_zero, bias;
  bool zeros_per_channel = false, scales_per_channel = false;
  ActivationSpec activation;
};
Refusal add_byte_conv(const ByteConv& conv, const GpuTraits& traits, GpuWork& work);

// DynamicQuantizeLinear of `count` numbers; the scale and the zero point may be left out.
Refusal add_dynamic_quantize(int64_t count, bool has_scale, bool has_zero, const GpuTraits& traits, GpuWork& work);

}  // namespace fastort::gpu
