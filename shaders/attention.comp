// Attention without a tensor of scores: a group makes QUERIES rows, queries of the heads that share one of K and V. It
// walks the keys in tiles of 64, one key a lane, and rescales what it has whenever a tile has a larger score. Groups may
// share the keys of their rows out; attention_join.comp joins what they made then.
// operands: Y (or what the groups of parts made), Q, K, V, mask (the tensors' type or bytes), numbers of keys (int64, or
// int32 lengths as common/past.glsl has them), sink (a number for each head), a second mask to add (float32), table, scores
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/past.glsl"

layout(local_size_x = GROUP) in;
// 0 none, 1 added, 2 bytes of which 0 hides a key.
layout(constant_id = 1) const uint kMask = 0;
layout(constant_id = 2) const uint kCausal = 0;
layout(constant_id = 3) const uint kMaskedRowsAreZero = 0;
// Bit 0: numbers of keys, 1: the last query stands at the last key, 2: a sink, 3: the sink is an operand, 4: a second
// mask, 5: the keys are shared out.
layout(constant_id = 4) const uint kParts = 0;
// Windows of keys in front of a query's place and behind it.
layout(constant_id = 5) const uint kHasLeft = 0;
layout(constant_id = 6) const uint kHasRight = 0;
// The caller gets the scores: 1 of the product, 2 with the cap, 3 with the masks too, 4 the same with zeros for keys that are
// out of a query's reach, 5 as probabilities.
layout(constant_id = 7) const uint kScores = 0;
PUSH(uint heads; uint queries; uint keys; uint size; uint value_size; uint shared_by; int offset; int fresh; int left;
     int right; float scale; float softcap; uint mask_batches; uint mask_keys; uint second_batch; uint second_row;
     uint parts;);

// More keys than there are; sums with it and the windows still fit.
const uint kAllKeys = 1u << 28;
#define QUERIES 4
// Lanes take the items of a value in turn.
#define VALUES 4
shared float tile[QUERIES][GROUP];

// The table: where Q, K, V, Y and the mask begin, then the strides of their batches, heads, rows and items.
uint begin_of(Words table, uint tensor, uint batch, uint head) {
  const uint at = tensor * 5;
  return table.at[at] + batch * table.at[at + 1] + head * table.at[at + 2];
}
uint row_step(Words table, uint tensor) { return table.at[tensor * 5 + 3]; }
uint item_step(Words table, uint tensor) { return table.at[tensor * 5 + 4]; }

uint byte_at(Words bytes, uint i) { return (bytes.at[i / 4] >> (8 * (i % 4))) & 0xff; }

void main() {
  const uint lane = gl_LocalInvocationID.x, kv_head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z;
  const uint part = gl_WorkGroupID.x % push.parts, first = gl_WorkGroupID.x / push.parts * QUERIES;
  const uint rows = push.shared_by * push.queries;
  Words table = Words(ADDRESS(8));
  Reals q = Reals(ADDRESS(1));
  Reals k = Reals(ADDRESS(2));
  Reals v = Reals(ADDRESS(3));
  const uint k0 = begin_of(table, 1, batch, kv_head), v0 = begin_of(table, 2, batch, kv_head);
  const uint q_item = item_step(table, 0);
  const uint k_row = row_step(table, 1), k_item = item_step(table, 1);
  const uint v_row = row_step(table, 2), v_item = item_step(table, 2);

  int end = int(min(push.keys, push.mask_keys)), offset = push.offset;
  if ((kParts & 1) != 0) {
    const uvec2 length = Pairs(ADDRESS(5)).at[batch];
    int given = length.y == 0 ? int(min(length.x, kAllKeys)) : int(kAllKeys);
    if (int(length.y) < 0) given = 0;
    end = min(end, given);
    if ((kParts & 2) != 0) offset = given - int(push.queries);
  }
  if (kPast != 0) {
    Integers lengths = Integers(ADDRESS(5));
    end = min(end, rows_in_all(lengths, batch, push.offset, push.fresh));
    offset = past_before(lengths, batch, push.offset, push.fresh);
  }

  uint heads[QUERIES], queries[QUERIES], q_at[QUERIES];
  float most[QUERIES], sum[QUERIES], values[QUERIES][VALUES];
  // The keys that any of the rows may see.
  int low = end, high = 0;
  [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
    const uint row = min(first + i, rows - 1);
    heads[i] = kv_head * push.shared_by + row / push.queries;
    queries[i] = row % push.queries;
    q_at[i] = begin_of(table, 0, batch, heads[i]) + queries[i] * row_step(table, 0);
    most[i] = -INFINITY;
    sum[i] = 0.0;
    if ((kParts & 4) != 0 && part == 0) {
      most[i] = (kParts & 8) != 0 ? float(Reals(ADDRESS(6)).at[heads[i]]) : 0.0;
      sum[i] = 1.0;
    }
    [[unroll]] for (uint c = 0; c < VALUES; ++c) values[i][c] = 0.0;
    const int place = int(queries[i]) + offset;
    int last = end;
    if (kCausal == 1) last = min(last, place + 1);
    if (kHasRight == 1) last = min(last, place + push.right + 1);
    high = max(high, last);
    low = min(low, kHasLeft == 1 ? place - push.left : 0);
  }
  low = max(low, 0);
  if (kScores != 0) {
    low = 0;
    high = int(push.keys);
  }
  if (push.parts > 1) {
    const int each = (max(high - low, 0) + int(push.parts) - 1) / int(push.parts);
    low += int(part) * each;
    high = min(high, low + each);
  }

  for (int tile0 = low; tile0 < high; tile0 += GROUP) {
    const int at = tile0 + int(lane);
    const uint key = uint(min(at, high - 1));
    float scores[QUERIES];
    [[unroll]] for (uint i = 0; i < QUERIES; ++i) scores[i] = 0.0;
    for (uint d = 0; d < push.size; ++d) {
      const float kd = float(k.at[k0 + key * k_row + d * k_item]);
      [[unroll]] for (uint i = 0; i < QUERIES; ++i) scores[i] = fma(float(q.at[q_at[i] + d * q_item]), kd, scores[i]);
    }
    [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
      const int place = int(queries[i]) + offset;
      float score = scores[i] * push.scale, kept = score;
      if (push.softcap > 0.0) score = push.softcap * hyperbolic_tangent(score / push.softcap);
      bool seen = at < high && at < end;
      if (kCausal == 1) seen = seen && at <= place;
      if (kHasRight == 1) seen = seen && at <= place + push.right;
      if (kHasLeft == 1) seen = seen && at >= place - push.left;
      const bool reached = seen;
      if (kScores > 1) kept = score;
      if (seen && kMask != 0) {
        const uint m = begin_of(table, 4, batch % push.mask_batches, heads[i]) + queries[i] * row_step(table, 4) +
                       key * item_step(table, 4);
        if (kMask == 1)
          score += float(Reals(ADDRESS(4)).at[m]);
        else
          seen = byte_at(Words(ADDRESS(4)), m) != 0;
      }
      if (seen && (kParts & 16) != 0)
        score += Floats(ADDRESS(7)).at[batch * push.second_batch + queries[i] * push.second_row + key];
      scores[i] = seen ? score : -INFINITY;
      tile[i][lane] = scores[i];
      if (kScores > 2) kept = kScores == 4 && !reached ? 0.0 : scores[i];
      if (kScores != 0 && at < high && first + i < rows)
        Reals(ADDRESS(9)).at[((batch * push.heads + heads[i]) * push.queries + queries[i]) * push.keys + uint(at)] = REAL(kept);
    }
    barrier();
    [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
      float peak = most[i];
      for (uint j = 0; j < GROUP; ++j) peak = larger(tile[i][j], peak);
      // A row that has seen nothing yet stays empty.
      const bool empty = isinf(peak) && peak < 0.0;
      const float factor = empty ? 1.0 : exponential(most[i] - peak);
      scores[i] = empty ? 0.0 : exponential(scores[i] - peak);
      most[i] = peak;
      sum[i] *= factor;
      [[unroll]] for (uint c = 0; c < VALUES; ++c) values[i][c] *= factor;
    }
    barrier();
    [[unroll]] for (uint i = 0; i < QUERIES; ++i) tile[i][lane] = scores[i];
    barrier();
    const uint tile_keys = uint(min(GROUP, high - tile0));
    for (uint j = 0; j < tile_keys; ++j) {
      [[unroll]] for (uint i = 0; i < QUERIES; ++i) sum[i] += tile[i][j];
      [[unroll]] for (uint c = 0; c < VALUES; ++c) {
        const uint d = lane + c * GROUP;
        if (d >= push.value_size) break;
        const float value = float(v.at[v0 + (uint(tile0) + j) * v_row + d * v_item]);
        [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
          // What is hidden adds nothing, whatever its value is.
          if (tile[i][j] != 0.0) values[i][c] = fma(tile[i][j], value, values[i][c]);
        }
      }
    }
    barrier();
  }

  [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
    if (first + i >= rows) break;
    if ((kParts & 32) != 0) {
      const uint row = (batch * push.heads + heads[i]) * push.queries + queries[i];
      const uint made = (row * push.parts + part) * (push.value_size + 2);
      if (lane == 0) {
        Floats(ADDRESS(0)).at[made] = most[i];
        Floats(ADDRESS(0)).at[made + 1] = sum[i];
      }
      [[unroll]] for (uint c = 0; c < VALUES; ++c) {
        const uint d = lane + c * GROUP;
        if (d < push.value_size) Floats(ADDRESS(0)).at[made + 2 + d] = values[i][c];
      }
      continue;
    }
    const bool hidden = isinf(most[i]) && most[i] < 0.0;
    if (kScores == 5) {
      // Each lane goes over those that it wrote.
      const uint row = (batch * push.heads + heads[i]) * push.queries + queries[i];
      for (uint key = lane; key < push.keys; key += GROUP) {
        const float score = float(Reals(ADDRESS(9)).at[row * push.keys + key]);
        Reals(ADDRESS(9)).at[row * push.keys + key] =
            REAL(hidden ? (kMaskedRowsAreZero == 1 ? 0.0 : NAN) : exponential(score - most[i]) / sum[i]);
      }
    }
    const uint y0 = begin_of(table, 3, batch, heads[i]) + queries[i] * row_step(table, 3);
    [[unroll]] for (uint c = 0; c < VALUES; ++c) {
      const uint d = lane + c * GROUP;
      if (d >= push.value_size) break;
      const float y = hidden ? (kMaskedRowsAreZero == 1 ? 0.0 : NAN) : values[i][c] / sum[i];
      Reals(ADDRESS(0)).at[y0 + d] = REAL(y);
    }
  }
}
