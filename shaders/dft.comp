// Discrete Fourier transforms of lines, complex or real: an invocation makes one item of a spectrum, or one sample back.
// operands: result, source, table (cosine and sine of the turns of a circle in n parts), window (n numbers)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kInverse = 0;
// The source is the first half of the spectrum of real samples.
layout(constant_id = 1) const uint kHermitian = 0;
layout(constant_id = 2) const uint kHasWindow = 0;
// Line i begins at i / per * outer + i % per * line, its items are `step` apart: all in items of one or two numbers.
PUSH(uint count; uint bins; uint n; uint used; uint per; uint src_outer; uint src_line; uint src_step; uint dst_outer;
     uint dst_line; uint dst_step; uint src_parts; uint dst_parts; float scale;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Reals source = Reals(ADDRESS(1));
  Floats table = Floats(ADDRESS(2));
  const uint line = item / push.bins, bin = item % push.bins;
  uint from = (line / push.per * push.src_outer + line % push.per * push.src_line) * push.src_parts;
  const uint to = (line / push.per * push.dst_outer + line % push.per * push.dst_line + bin * push.dst_step) * push.dst_parts;
  // Long sums are made of short ones, which keeps what rounding loses small.
  float all_re = 0.0, all_im = 0.0, re = 0.0, im = 0.0;
  uint turn = 0;
  for (uint k = 0; k < push.used; ++k, from += push.src_step * push.src_parts) {
    float x = float(source.at[from]), y = push.src_parts == 2 ? float(source.at[from + 1]) : 0.0;
    if (kHasWindow == 1) {
      const float weight = float(Reals(ADDRESS(3)).at[k]);
      x *= weight;
      y *= weight;
    }
    if (kHermitian == 1) {
      const bool alone = k == 0 || 2 * k == push.n;
      x *= alone ? 1.0 : 2.0;
      y *= alone ? 0.0 : 2.0;
    }
    const float c = table.at[2 * turn], s = kInverse == 1 ? table.at[2 * turn + 1] : -table.at[2 * turn + 1];
    re += x * c - y * s;
    im += x * s + y * c;
    turn += bin;
    if (turn >= push.n) turn -= push.n;
    if (k % 32 == 31) {
      all_re += re;
      all_im += im;
      re = 0.0;
      im = 0.0;
    }
  }
  re += all_re;
  im += all_im;
  Reals(ADDRESS(0)).at[to] = REAL(re * push.scale);
  if (push.dst_parts == 2) Reals(ADDRESS(0)).at[to + 1] = REAL(im * push.scale);
}
