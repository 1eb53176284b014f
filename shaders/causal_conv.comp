// CausalConvWithState: each channel's own filter over the items up to now, of which the first ones come from a past. The lines
// are [batch, channels]; an invocation makes one element of the result or of the state.
// operands: Y, state, X, weights, bias, past
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kHasBias = 0;
layout(constant_id = 1) const uint kHasPast = 0;
layout(constant_id = 2) const uint kSilu = 0;
// Bit 0: Y is wanted, 1: the state.
layout(constant_id = 3) const uint kOutputs = 3;
PUSH(uint count; uint channels; uint size; uint taps;);

// Item `at` of the line with its past.
float item_at(uint line, uint at) {
  const uint before = push.taps - 1;
  if (at >= before) return float(Reals(ADDRESS(2)).at[line * push.size + at - before]);
  return kHasPast == 1 ? float(Reals(ADDRESS(5)).at[line * before + at]) : 0.0;
}

void main() {
  const uint item = item_number(), padded = push.size + push.taps - 1;
  if (item >= push.count) return;
  const uint line = item / padded, at = item % padded;
  if (at >= push.size) {
    if ((kOutputs & 2) != 0) Reals(ADDRESS(1)).at[line * (push.taps - 1) + at - push.size] = REAL(item_at(line, at));
    return;
  }
  if ((kOutputs & 1) == 0) return;
  const uint channel = line % push.channels;
  float sum = kHasBias == 1 ? float(Reals(ADDRESS(4)).at[channel]) : 0.0;
  for (uint j = 0; j < push.taps; ++j)
    sum = fma(float(Reals(ADDRESS(3)).at[channel * push.taps + j]), item_at(line, at + j), sum);
  Reals(ADDRESS(0)).at[line * push.size + at] = REAL(kSilu == 1 ? sum * sigmoid(sum) : sum);
}
