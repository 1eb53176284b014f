// Joins what groups of attention.comp made of parts of the keys: a group makes a row of the result.
// operands: Y, parts (for each row and part: the largest score, the sum of exponentials, the sums of values)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kMaskedRowsAreZero = 0;
PUSH(uint rows; uint heads; uint queries; uint value_size; uint parts; uint y_batch; uint y_head; uint y_row;);

void main() {
  const uint number = group_number();
  if (number >= push.rows) return;
  Floats parts = Floats(ADDRESS(1));
  const uint step = push.value_size + 2, base = number * push.parts * step;
  float most = -INFINITY, sum = 0.0;
  for (uint p = 0; p < push.parts; ++p) most = larger(parts.at[base + p * step], most);
  const bool hidden = isinf(most) && most < 0.0;
  if (!hidden) {
    for (uint p = 0; p < push.parts; ++p)
      sum = fma(exponential(parts.at[base + p * step] - most), parts.at[base + p * step + 1], sum);
  }
  const uint query = number % push.queries, head = number / push.queries % push.heads;
  const uint y0 = number / (push.queries * push.heads) * push.y_batch + head * push.y_head + query * push.y_row;
  for (uint d = gl_LocalInvocationID.x; d < push.value_size; d += GROUP) {
    float value = 0.0;
    if (!hidden) {
      for (uint p = 0; p < push.parts; ++p)
        value = fma(exponential(parts.at[base + p * step] - most), parts.at[base + p * step + 2 + d], value);
    }
    Reals(ADDRESS(0)).at[y0 + d] = REAL(hidden ? (kMaskedRowsAreZero == 1 ? 0.0 : NAN) : value / sum);
  }
}
