// LRN: x / (bias + alpha / size * sum of squares over neighbouring channels)^beta.
// operands: Y, X
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/math.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count; uint channels; uint spatial; uint before; uint after; float alpha_over_size; float beta; float bias;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals x = Reals(ADDRESS(1));
  const uint channel = item / push.spatial % push.channels;
  const uint first = channel - min(channel, push.before), last = min(channel + push.after, push.channels - 1);
  float squares = 0.0;
  for (uint c = first; c <= last; ++c) {
    const float value = float(x.at[item + c * push.spatial - channel * push.spatial]);
    squares = fma(value, value, squares);
  }
  const float base = fma(push.alpha_over_size, squares, push.bias);
  const float scale = push.beta == 0.75 ? sqrt(base) * sqrt(sqrt(base)) : power(base, push.beta);
  Reals(ADDRESS(0)).at[item] = REAL(float(x.at[item]) / scale);
}
