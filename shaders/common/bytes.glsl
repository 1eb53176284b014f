// Bytes that are int8 or uint8, as constants say, and what a value becomes when it is quantized to one.
#ifndef COMMON_BYTES
#define COMMON_BYTES

#include "common/base.glsl"
#include "common/typed.glsl"

// The first constant's number, where other parts have taken some.
#ifndef BYTES_FIRST
#define BYTES_FIRST 0
#endif
layout(constant_id = BYTES_FIRST) const uint kSignedA = 0;
layout(constant_id = BYTES_FIRST + 1) const uint kSignedB = 0;
layout(constant_id = BYTES_FIRST + 2) const uint kSignedY = 0;

int byte_at(Elements bytes, uint i, uint is_signed) {
  const int byte = int(uint(bytes.at[i]));
  return is_signed == 1 ? (byte ^ 128) - 128 : byte;
}

float lowest_of(uint is_signed) { return is_signed == 1 ? -128.0 : 0.0; }
float highest_of(uint is_signed) { return is_signed == 1 ? 127.0 : 255.0; }

struct Bounds {
  float low, high;
};
// Of a result with a zero point: 0 all there are, 1 from zero on (Relu), 2 those of two numbers, in front of quantization.
Bounds bounds_of(int zero, uint activation, float low, float high, float scale) {
  Bounds bounds = Bounds(lowest_of(kSignedY) - float(zero), highest_of(kSignedY) - float(zero));
  if (activation == 1) bounds.low = clamp(0.0, bounds.low, bounds.high);
  if (activation == 2) {
    bounds.low = clamp(roundEven(low / scale), bounds.low, bounds.high);
    bounds.high = clamp(roundEven(high / scale), bounds.low, bounds.high);
  }
  return bounds;
}

// Rounds half to even; NaN becomes the lowest. The bounds hold before the zero point is added.
ELEMENT quantized(float value, float low, float high, int zero) {
  const float rounded = roundEven(value);
  const float bounded = rounded > low ? (rounded < high ? rounded : high) : low;
  return ELEMENT(uint(int(bounded) + zero) & 255u);
}

#endif
