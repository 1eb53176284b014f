#pragma once

#include <cstdint>

#include "tensor/data_type.h"

namespace fastort::kernels {

// Floating-point kinds of 8, 6 and 4 bits, one element to a byte.
struct SmallFloat {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  uint8_t max;       // bits of the largest finite number
  bool infinity;     // bits max + 1
  uint8_t nan;       // 0: has none
  bool signed_zero;  // FNUZ kinds: the bits of -0 are NaN
};

// Nothing but the four float8 kinds with a mantissa, float6 and float4.
const SmallFloat* small_float(DataType type);
float decode(const SmallFloat& kind, uint8_t bits);
// Rounds to nearest even. Out of range: the largest number where `saturate`, else infinity or NaN.
uint8_t encode(const SmallFloat& kind, float value, bool saturate);

// The power of two of float8e8m0, and back.
enum class ScaleRounding : uint8_t { Up, Down, Nearest };
float decode_scale(uint8_t bits);
uint8_t encode_scale(float value, bool saturate, ScaleRounding rounding);

}  // namespace fastort::kernels
