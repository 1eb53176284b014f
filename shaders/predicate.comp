// IsNaN and IsInf: four elements an invocation, written as one word of bytes.
// operands: result (bytes), source
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
// What counts: bit 0 NaN, 1 plus infinity, 2 minus infinity.
layout(constant_id = 0) const uint kKinds = 1;
PUSH(uint count;);

void main() {
  const uint word = item_number(), begin = word * 4;
  if (begin >= push.count) return;
  uint bits = 0;
  for (uint k = 0; k < 4 && begin + k < push.count; ++k) {
    const uint x = floatBitsToUint(float(Reals(ADDRESS(1)).at[begin + k]));
    const bool holds = ((kKinds & 1) != 0 && (x & 0x7fffffffu) > 0x7f800000u) ||
                       ((kKinds & 2) != 0 && x == 0x7f800000u) || ((kKinds & 4) != 0 && x == 0xff800000u);
    bits |= (holds ? 1u : 0u) << (8 * k);
  }
  Words(ADDRESS(0)).at[word] = bits;
}
