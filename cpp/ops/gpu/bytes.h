#pragma once

#include "kernels/conv/conv_shape.h"
#include "kernels/pool.h"
#include "ops/gpu.h"
#include "ops/matmul/matmul.h"

// Products and convolutions of int8 and uint8 with zero points. Operands that are left out have the kind None.
namespace fastort::gpu {

// Operands, and how many numbers each parameter has. The result is int32, or float32 where `floats` says so, or bytes
// where there is a `y_scale`.
struct ByteGemm {
  matmul::Problem problem;
  bool a_signed = false, b_signed = false, y_signed = false;
  GpuOperand a, b, a_zero, b_zero, a_scale, b_scale, y_scale, y_zero;
  int64_t a_zeros = 0, b_zeros = 0, a_scales = 1, b_scales = 1, y_scales = 1, y_zeros = 1;
  bool floats = false;
  // int32 that is added to the sums, or floats to a result of floats: [1 or rows, 1 or columns].
  GpuOperand bias;
  bool bias_is_floats = false;
  int64_t bias_rows = 1, bias_columns = 1;
  float alpha = 1;
  ActivationSpec activation;  // in front of the quantization
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

// Maximum or average of bytes; the average has scales, and zero points where there are some. `last_channels` are the
// last dimension of the tensors, or 1.
struct BytePool {
  kernels::PoolShape shape;
  bool is_signed = false;
  int64_t last_channels = 1;
  GpuOperand x_scale, x_zero, y_scale, y_zero;
  GpuOperand indices;  // int64 places of the maxima, or none
  bool column_major = false;
};
Refusal add_byte_pool(const BytePool& pool, int64_t count, const GpuTraits& traits, GpuWork& work);

// DynamicQuantizeLinear of `count` numbers; the scale and the zero point (a byte) may be left out.
struct DynamicBytes {
  int64_t count = 0;
  GpuOperand bytes, source, scale, zero;
};
Refusal add_dynamic_quantize(const DynamicBytes& bytes, const GpuTraits& traits, GpuWork& work);

// Functions of bytes that give bytes, in the order of shaders/bytes_map.comp.
enum class ByteFunction : uint32_t { Add, Mul, Same, Sigmoid, LeakyRelu, LookUp, Where };
struct ByteSide {
  int input = -1, scale = -1, zero = -1;  // inputs of the node; -1 or left out: none
  bool is_signed = false;
};
// result = function(a, b) where both broadcast to the result. The result's items may lie at `begin` of rows of `row`
// items, of which they are `part`.
struct ByteMap {
  ByteFunction function = ByteFunction::Same;
  ByteSide a, b, y;
  int condition = -1;
  Shape shape;
  int64_t part = 0, row = 0, begin = 0;
  ActivationSpec activation;
  float alpha = 0;  // of LeakyRelu
};
Refusal add_byte_map(const OpContext& context, const ByteMap& map, const GpuTraits& traits, GpuWork& work);

}  // namespace fastort::gpu
