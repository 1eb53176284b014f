// Rows of heads on their way into a cache or into attention, [batch, heads, rows, size]: those of a past, then new ones out
// of tokens, then what is behind. New rows get a norm, a bias and a rotation, in this order. A group makes a row.
// operands: result, tokens, past, bias, norm's weights, cosines, sines, positions (int64), lengths (int32)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/past.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kHasBias = 0;
layout(constant_id = 2) const uint kHasNorm = 0;
// 1 halves, 2 interleaved.
layout(constant_id = 3) const uint kRotation = 0;
// Of the rotation: 0 the row's own, 1 one for each token, 2 the first token's.
layout(constant_id = 4) const uint kPositions = 0;
// The result has 0: the new rows alone, 1: zeros behind them, 2: what the past has there.
layout(constant_id = 5) const uint kBehind = 0;
// `at` is where the heads begin in the tokens, `to` in the result and `past_at` in the past.
PUSH(uint rows; uint heads; uint capacity; uint size; int fresh; int past_rows; int keys; uint at; uint batch_step;
     uint head_step; uint row_step; uint item_step; uint bias_at; uint rotated; uint positions; float epsilon; uint to;
     uint past_at;);

shared float squares[GROUP];

float token_item(uint from, uint head, uint i, float factor) {
  float x = float(Reals(ADDRESS(1)).at[from + i * push.item_step]);
  if (kHasNorm == 1) x *= factor * float(Reals(ADDRESS(4)).at[i]);
  if (kHasBias == 1) x += float(Reals(ADDRESS(3)).at[push.bias_at + head * push.size + i]);
  return x;
}

// The row of the caches of cosines and sines, or as many as there are where the data names none.
uint cache_row(uint batch, uint row, int past) {
  if (kPositions == 0) return min(uint(past) + row, push.positions);
  const uvec2 position = Pairs(ADDRESS(7)).at[kPositions == 2 ? 0 : batch * uint(push.fresh) + row];
  if (position.y != 0 || position.x >= push.positions) return push.positions;
  return min(position.x + (kPositions == 2 ? row : 0), push.positions);
}

void main() {
  const uint number = group_number(), lane = gl_LocalInvocationID.x;
  if (number >= push.rows) return;
  const uint at = number % push.capacity, head = number / push.capacity % push.heads;
  const uint batch = number / (push.capacity * push.heads);
  Integers lengths = Integers(ADDRESS(8));
  const int past = past_before(lengths, batch, push.past_rows, push.fresh);
  const int all = rows_in_all(lengths, batch, push.past_rows, push.fresh);
  if (past < 0 || past > push.past_rows || past > push.keys - push.fresh || all < 0 || all > push.keys) {
    REPORT();
    return;
  }
  Reals result = Reals(ADDRESS(0));
  const uint to = push.to + number * push.size;
  uint row = at;
  if (kBehind != 0) {
    if (at < uint(past) || at >= uint(past + push.fresh)) {
      const uint from = push.past_at + ((batch * push.heads + head) * uint(push.past_rows) + at) * push.size;
      const bool kept = at < uint(past) || kBehind == 2;
      for (uint i = lane; i < push.size; i += GROUP)
        result.at[to + i] = kept ? Reals(ADDRESS(2)).at[from + i] : REAL(0.0);
      return;
    }
    row = at - uint(past);
  }
  const uint from = push.at + batch * push.batch_step + head * push.head_step + row * push.row_step;
  float factor = 1.0;
  if (kHasNorm == 1) {
    float sum = 0.0;
    for (uint i = lane; i < push.size; i += GROUP) {
      const float x = float(Reals(ADDRESS(1)).at[from + i * push.item_step]);
      sum = fma(x, x, sum);
    }
    squares[lane] = sum;
    barrier();
    sum = 0.0;
    for (uint i = 0; i < GROUP; ++i) sum += squares[i];
    factor = 1.0 / sqrt(sum / float(push.size) + push.epsilon);
  }
  uint cached = 0;
  if (kRotation != 0) {
    cached = cache_row(batch, row, past);
    if (cached >= push.positions) {
      REPORT();
      return;
    }
  }
  const uint half_size = push.rotated / 2;
  for (uint i = lane; i < push.size; i += GROUP) {
    float y = token_item(from, head, i, factor);
    if (kRotation != 0 && i < push.rotated) {
      const bool second = kRotation == 2 ? i % 2 == 1 : i >= half_size;
      const uint apart = kRotation == 2 ? 1 : half_size, pair = kRotation == 2 ? i / 2 : second ? i - half_size : i;
      const float z = token_item(from, head, second ? i - apart : i + apart, factor);
      const float c = float(Reals(ADDRESS(5)).at[cached * half_size + pair]);
      const float s = float(Reals(ADDRESS(6)).at[cached * half_size + pair]);
      y = second ? s * z + c * y : c * y - s * z;
    }
    result.at[to + i] = REAL(y);
  }
}
