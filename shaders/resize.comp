// One dimension of [outer, in, inner] becomes [outer, out, inner]: each element a weighted sum of some.
// operands: result, source, indices (`taps` for each of out; below 0: the extrapolation value), weights
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count; uint size; uint out_size; uint inner; uint taps; float extrapolation;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals source = Reals(ADDRESS(1));
  Integers indices = Integers(ADDRESS(2));
  Floats weights = Floats(ADDRESS(3));
  const uint column = item % push.inner, row = item / push.inner;
  const uint tap0 = row % push.out_size * push.taps, base = row / push.out_size * push.size;
  float sum = push.extrapolation;
  if (indices.at[tap0] >= 0) {
    sum = 0.0;
    for (uint k = 0; k < push.taps; ++k)
      sum = fma(weights.at[tap0 + k], float(source.at[(base + uint(indices.at[tap0 + k])) * push.inner + column]), sum);
  }
  Reals(ADDRESS(0)).at[item] = REAL(sum);
}
