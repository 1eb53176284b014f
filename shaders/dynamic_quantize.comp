// DynamicQuantizeLinear to uint8, in three dispatches: the range of each group's share, the scale and zero point, the
// bytes.
// variant range: -DRANGE
// variant scale: -DSCALE
// variant byte: -DT_U8
// operands of range: a pair for each group, source
// operands of scale: scale, zero as int32, scale and zero for the caller (which may be left out), pairs
// operands of byte: result, source, scale, zero
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count; uint step;);

#ifdef T_U8
#include "common/typed.glsl"

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const int zero = Integers(ADDRESS(3)).at[0];
  const float low = -float(zero), high = 255.0 - float(zero);
  const float rounded = roundEven(Floats(ADDRESS(1)).at[item] / Floats(ADDRESS(2)).at[0]);
  const float bounded = rounded > low ? (rounded < high ? rounded : high) : low;
  Elements(ADDRESS(0)).at[item] = ELEMENT(uint(int(bounded) + zero));
}
#else
#ifdef SCALE
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
layout(buffer_reference, scalar, buffer_reference_align = 1) buffer Bytes {
  uint8_t at[];
};
layout(constant_id = 0) const uint kHasScale = 0;
layout(constant_id = 1) const uint kHasZero = 0;
#endif

shared float lows[GROUP];
shared float highs[GROUP];

void main() {
  const uint own = gl_LocalInvocationID.x;
  float low = 0.0, high = 0.0;
#ifdef RANGE
  for (uint i = item_number(); i < push.count; i += push.step) {
    const float x = Floats(ADDRESS(1)).at[i];
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
#else
  for (uint i = own; i < push.count; i += GROUP) {
    low = min(low, Floats(ADDRESS(4)).at[2 * i]);
    high = max(high, Floats(ADDRESS(4)).at[2 * i + 1]);
  }
#endif
  lows[own] = low;
  highs[own] = high;
  barrier();
  if (own != 0) return;
  for (uint i = 1; i < GROUP; ++i) {
    low = min(low, lows[i]);
    high = max(high, highs[i]);
  }
#ifdef RANGE
  Floats(ADDRESS(0)).at[2 * group_number()] = low;
  Floats(ADDRESS(0)).at[2 * group_number() + 1] = high;
#else
  const float scale = (high - low) / 255.0;
  int zero = 0;
  if (scale > 0.0) zero = int(clamp(roundEven(-low / scale), 0.0, 255.0));
  Floats(ADDRESS(0)).at[0] = scale;
  Integers(ADDRESS(1)).at[0] = zero;
  if (kHasScale == 1) Floats(ADDRESS(2)).at[0] = scale;
  if (kHasZero == 1) Bytes(ADDRESS(3)).at[0] = uint8_t(zero);
#endif
}
#endif
