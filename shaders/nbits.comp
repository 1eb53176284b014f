// Weights [n, k] of 2, 4 or 8 bits in blocks along k, (q - zero) * scale: products of few rows with them, or the weights as
// numbers. Each row is a whole number of words, low bits first.
// operands of rows: Y [rows, n], weights, scales, zeros (of the tensors' type, or packed like the weights), A [rows, k], bias
// operands of numbers: result [n, k], weights, scales, zeros, groups (int32: the block of each place along k)
// variant rows: -DROWS
// variant numbers:
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kBits = 4;
// 0 the middle of the range, 1 numbers, 2 packed.
layout(constant_id = 1) const uint kZeros = 0;
// A bias, or groups.
layout(constant_id = 2) const uint kHasMore = 0;
PUSH(uint count; uint rows; uint n; uint k; uint block; uint blocks; uint row_words; uint zero_bytes;);

float zero_at(uint line, uint block) {
  if (kZeros == 0) return float(1u << (kBits - 1));
  if (kZeros == 1) return float(Reals(ADDRESS(3)).at[line * push.blocks + block]);
  const uint bit = block * kBits, byte = line * push.zero_bytes + bit / 8;
  return float((Words(ADDRESS(3)).at[byte / 4] >> (8 * (byte % 4) + bit % 8)) & ((1u << kBits) - 1u));
}

#ifdef ROWS
shared float sums[GROUP];

// A group makes an element: its lanes take the words of the weights in turn.
void main() {
  const uint number = group_number(), lane = gl_LocalInvocationID.x;
  if (number >= push.count) return;
  const uint line = number % push.n, row = number / push.n;
  Reals a = Reals(ADDRESS(4));
  const uint each = 32 / kBits;
  float sum = 0.0;
  for (uint w = lane; w < push.row_words; w += GROUP) {
    const uint first = w * each;
    if (first >= push.k) break;
    const uint word = Words(ADDRESS(1)).at[line * push.row_words + w], block = first / push.block;
    const float zero = zero_at(line, block);
    float part = 0.0;
    for (uint i = 0; i < each; ++i) {
      if (first + i >= push.k) break;
      const float q = float((word >> (i * kBits)) & ((1u << kBits) - 1u));
      part = fma(q - zero, float(a.at[row * push.k + first + i]), part);
    }
    sum = fma(part, float(Reals(ADDRESS(2)).at[line * push.blocks + block]), sum);
  }
  sums[lane] = sum;
  barrier();
  for (uint width = GROUP / 2; width > 0; width /= 2) {
    if (lane < width) sums[lane] += sums[lane + width];
    barrier();
  }
  if (lane != 0) return;
  const float bias = kHasMore == 1 ? float(Reals(ADDRESS(5)).at[line]) : 0.0;
  Reals(ADDRESS(0)).at[number] = REAL(sums[0] + bias);
}
#else
void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint at = item % push.k, line = item / push.k;
  uint block = at / push.block;
  if (kHasMore == 1) {
    const int group = Integers(ADDRESS(4)).at[at];
    if (group < 0 || group >= int(push.blocks)) {
      REPORT();
      return;
    }
    block = uint(group);
  }
  const uint bit = at * kBits, word = Words(ADDRESS(1)).at[line * push.row_words + bit / 32];
  const float q = float((word >> (bit % 32)) & ((1u << kBits) - 1u));
  Reals(ADDRESS(0)).at[item] = REAL((q - zero_at(line, block)) * float(Reals(ADDRESS(2)).at[line * push.blocks + block]));
}
#endif
