// Conversions between float32, int32, int64 and bool; four elements an invocation, so that bytes are written as words.
// operands: result, source
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/strided.glsl"

layout(local_size_x = GROUP) in;
// 0 float32, 1 int32, 2 int64, 3 bool.
layout(constant_id = 2) const uint kFrom = 0;
layout(constant_id = 3) const uint kTo = 0;
PUSH(uint count;);

const uint kFloat = 0, kInt = 1, kInt64 = 2, kBool = 3;

// A whole number as two words of two's complement.
uvec2 wide(int x) { return uvec2(uint(x), uint(x >> 31)); }
uvec2 negated(uvec2 x) {
  const uint low = ~x.x + 1;
  return uvec2(low, ~x.y + (low == 0 ? 1u : 0u));
}
// Cut off towards zero; what does not fit, and NaN, becomes the least number, as x86 has it.
uvec2 wide_of_float(float x) {
  const float limit = kTo == 1 ? 2147483648.0 : 9223372036854775808.0;
  if (!(x >= -limit && x < limit)) return kTo == 1 ? uvec2(0x80000000u, 0xffffffffu) : uvec2(0, 0x80000000u);
  const float a = trunc(abs(x));
  const float high = floor(a / 4294967296.0);
  const uvec2 magnitude = uvec2(uint(a - high * 4294967296.0), uint(high));
  return x < 0.0 ? negated(magnitude) : magnitude;
}
float float_of_wide(uvec2 x) {
  const bool negative = int(x.y) < 0;
  const uvec2 magnitude = negative ? negated(x) : x;
  if (magnitude.y == 0) {
    const float y = float(magnitude.x);
    return negative ? -y : y;
  }
  // Rounded once: 24 leading bits of the number, the rest as one sticky bit below them.
  const int shift = findMSB(magnitude.y) + 1;
  uint top = shift == 32 ? magnitude.y : (magnitude.y << (32 - shift)) | (magnitude.x >> shift);
  const uint rest = shift == 32 ? magnitude.x : magnitude.x << (32 - shift);
  if (rest != 0) top |= 1;
  const float y = ldexp(float(top), shift);
  return negative ? -y : y;
}

void main() {
  const uint word = item_number(), begin = word * 4;
  if (begin >= push.count) return;
  uint bits = 0;
  for (uint k = 0; k < 4 && begin + k < push.count; ++k) {
    const uint i = begin + k;
    uvec2 whole = uvec2(0);
    float real = 0.0;
    bool set;
    if (kFrom == kFloat) {
      real = Floats(ADDRESS(1)).at[i];
      if (kTo != kFloat) whole = wide_of_float(real);
      set = real != 0.0;
    } else {
      if (kFrom == kInt) whole = wide(Integers(ADDRESS(1)).at[i]);
      if (kFrom == kInt64) whole = Pairs(ADDRESS(1)).at[i];
      if (kFrom == kBool) whole = uvec2(byte_at(Words(ADDRESS(1)), i) != 0 ? 1 : 0, 0);
      if (kTo == kFloat) real = kFrom == kInt ? float(int(whole.x)) : float_of_wide(whole);
      set = whole.x != 0 || whole.y != 0;
    }
    if (kTo == kFloat) Floats(ADDRESS(0)).at[i] = real;
    if (kTo == kInt) Words(ADDRESS(0)).at[i] = whole.x;
    if (kTo == kInt64) Pairs(ADDRESS(0)).at[i] = whole;
    if (kTo == kBool) bits |= (set ? 1u : 0u) << (8 * k);
  }
  if (kTo == kBool) Words(ADDRESS(0)).at[word] = bits;
}
