// Bytes that are int8 or uint8, as constants say, and what a value becomes when it is quantized to one.
#ifndef COMMON_BYTES
#define COMMON_BYTES

#include "common/base.glsl"
#include "common/typed.glsl"

layout(constant_id = 0) const uint kSignedA = 0;
layout(constant_id = 1) const uint kSignedB = 0;
layout(constant_id = 2) const uint kSignedY = 0;

int byte_at(Elements bytes, uint i, uint is_signed) {
  const int byte = int(uint(bytes.at[i]));
  return is_signed == 1 ? (byte ^ 128) - 128 : byte;
}

float lowest_of(uint is_signed) { return is_signed == 1 ? -128.0 : 0.0; }
float highest_of(uint is_signed) { return is_signed == 1 ? 127.0 : 255.0; }

// Rounds half to even; NaN becomes the lowest. The bounds hold before the zero point is added.
ELEMENT quantized(float value, float low, float high, int zero) {
  const float rounded = roundEven(value);
  const float bounded = rounded > low ? (rounded < high ? rounded : high) : low;
  return ELEMENT(uint(int(bounded) + zero) & 255u);
}

#endif
