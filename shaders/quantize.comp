// QuantizeLinear of float32 or float16 to integers, and back: a scale and a zero for all, for each place along an axis, or for
// blocks of them. For other types than integers it leaves or takes float32 (scale, unscale).
// operands: result, source, scale (of the source's type), zero
// variant quantize_i8: -DQUANTIZE -DT_I8
// variant quantize_u8: -DQUANTIZE -DT_U8
// variant quantize_i16: -DQUANTIZE -DT_I16
// variant quantize_u16: -DQUANTIZE -DT_U16
// variant quantize_half_i8: -DQUANTIZE -DHALF -DT_I8
// variant quantize_half_u8: -DQUANTIZE -DHALF -DT_U8
// variant quantize_half_i16: -DQUANTIZE -DHALF -DT_I16
// variant quantize_half_u16: -DQUANTIZE -DHALF -DT_U16
// variant dequantize_i8: -DT_I8
// variant dequantize_u8: -DT_U8
// variant dequantize_i16: -DT_I16
// variant dequantize_u16: -DT_U16
// variant dequantize_i32: -DT_I32
// variant scale: -DQUANTIZE -DT_F32
// variant unscale: -DT_F32
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"

#ifdef HALF
#extension GL_EXT_shader_16bit_storage : require
layout(buffer_reference, scalar, buffer_reference_align = 2) buffer Numbers {
  float16_t at[];
};
#else
#define Numbers Floats
#endif

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kHasZero = 0;
// 0 one scale, 1 one for each `block` places along the axis, 2 the same with one for each inner element.
layout(constant_id = 1) const uint kForm = 0;
// Bits of integers that are held one to a byte; 0 for those of a byte and more.
layout(constant_id = 2) const uint kBits = 0;
// Whether the quotient is rounded to float16.
layout(constant_id = 3) const uint kRoundHalf = 0;
PUSH(uint count; uint axis; uint inner; uint block; uint blocks;);

NUMBER read(uint operand, uint i) {
  const NUMBER x = NUMBER(Elements(ADDRESS(operand)).at[i]);
#ifdef FLOATING
  return x;
#else
  if (kBits == 0) return x;
  const uint low = uint(x) & ((1u << kBits) - 1u);
#ifdef SIGNED
  const int sign = 1 << (kBits - 1);
  return (int(low) ^ sign) - sign;
#else
  return NUMBER(low);
#endif
#endif
}

#ifdef QUANTIZE
// Rounds half to even, which unpackHalf2x16(packHalf2x16(x)) need not do.
float to_half_and_back(float x) {
  const uint bits = floatBitsToUint(x), magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x7f800000u) return x;
  // The unit of the last place of a float16: 2^-24 for the smallest ones.
  const int exponent = max(int(magnitude >> 23) - 127, -14);
  const float unit = uintBitsToFloat(uint(exponent - 10 + 127) << 23);
  const float rounded = roundEven(x / unit) * unit;
  return abs(rounded) > 65504.0 ? uintBitsToFloat((bits & 0x80000000u) | 0x7f800000u) : rounded;
}
#endif

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  uint which = 0;
  if (kForm != 0) {
    const uint column = item % push.inner, place = item / push.inner % push.axis, outer = item / push.inner / push.axis;
    which = kForm == 1 ? place / push.block : (outer * push.blocks + place / push.block) * push.inner + column;
  }
  const float scale = float(Numbers(ADDRESS(2)).at[which]);
  const float zero = kHasZero == 1 ? float(read(3, which)) : 0.0;
#ifdef QUANTIZE
  float quotient = float(Numbers(ADDRESS(1)).at[item]) / scale;
  if (kRoundHalf == 1) quotient = to_half_and_back(quotient);
#ifdef FLOATING
  Elements(ADDRESS(0)).at[item] = quotient + zero;
#else
  const float moved = roundEven(quotient) + zero;
  float low = float(LOWEST), high = float(HIGHEST);
  if (kBits != 0) {
#ifdef SIGNED
    low = -float(1u << (kBits - 1));
    high = -low - 1.0;
#else
    high = float((1u << kBits) - 1u);
#endif
  }
  const float bounded = moved >= low ? (moved <= high ? moved : high) : low;
  Elements(ADDRESS(0)).at[item] = ELEMENT(NUMBER(bounded));
#endif
#else
  Floats(ADDRESS(0)).at[item] = (float(read(1, item)) - zero) * scale;
#endif
}
