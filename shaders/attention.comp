// Attention without a tensor of scores: a group makes QUERIES rows of one head. It walks the keys in tiles of 64, one
// key a lane, and rescales what it has whenever a tile has a larger score.
// operands: Y, Q, K, V, mask (float32 or bytes), lengths (int64), sink (a number for each head), table
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/strided.glsl"

layout(local_size_x = GROUP) in;
// 0 none, 1 added, 2 bytes of which 0 hides a key.
layout(constant_id = 2) const uint kMask = 0;
layout(constant_id = 3) const uint kCausal = 0;
layout(constant_id = 4) const uint kMaskedRowsAreZero = 0;
// Bit 0: numbers of keys, 1: the last query stands at the last key, 2: a sink, 3: the sink is an operand.
layout(constant_id = 5) const uint kParts = 0;
// Windows of keys in front of a query's place and behind it.
layout(constant_id = 6) const uint kHasLeft = 0;
layout(constant_id = 7) const uint kHasRight = 0;
PUSH(uint queries; uint keys; uint size; uint value_size; uint shared_by; int offset; int left; int right; float scale;
     float softcap; uint mask_batches; uint mask_keys;);

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

void main() {
  const uint lane = gl_LocalInvocationID.x, head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z;
  const uint first = gl_WorkGroupID.x * QUERIES;
  Words table = Words(ADDRESS(7));
  Floats q = Floats(ADDRESS(1));
  Floats k = Floats(ADDRESS(2));
  Floats v = Floats(ADDRESS(3));
  const uint q0 = begin_of(table, 0, batch, head), k0 = begin_of(table, 1, batch, head / push.shared_by);
  const uint v0 = begin_of(table, 2, batch, head / push.shared_by), y0 = begin_of(table, 3, batch, head);
  const uint mask0 = kMask == 0 ? 0 : begin_of(table, 4, batch % push.mask_batches, head);
  const uint q_row = row_step(table, 0), q_item = item_step(table, 0);
  const uint k_row = row_step(table, 1), k_item = item_step(table, 1);
  const uint v_row = row_step(table, 2), v_item = item_step(table, 2);

  int end = int(min(push.keys, push.mask_keys)), offset = push.offset;
  if ((kParts & 1) != 0) {
    const uvec2 length = Pairs(ADDRESS(5)).at[batch];
    if (length.y == 0 && int(length.x) >= 0) end = min(end, int(length.x));
    if (int(length.y) < 0) end = 0;
    if ((kParts & 2) != 0) offset = int(length.x) - int(push.queries);
  }

  float most[QUERIES], sum[QUERIES], values[QUERIES][VALUES];
  [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
    most[i] = -INFINITY;
    sum[i] = 0.0;
    if ((kParts & 4) != 0) {
      most[i] = (kParts & 8) != 0 ? Floats(ADDRESS(6)).at[head] : 0.0;
      sum[i] = 1.0;
    }
    [[unroll]] for (uint c = 0; c < VALUES; ++c) values[i][c] = 0.0;
  }

  for (uint tile0 = 0; tile0 < push.keys; tile0 += GROUP) {
    const uint key = min(tile0 + lane, push.keys - 1);
    float scores[QUERIES];
    [[unroll]] for (uint i = 0; i < QUERIES; ++i) scores[i] = 0.0;
    for (uint d = 0; d < push.size; ++d) {
      const float kd = k.at[k0 + key * k_row + d * k_item];
      [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
        const uint query = min(first + i, push.queries - 1);
        scores[i] = fma(q.at[q0 + query * q_row + d * q_item], kd, scores[i]);
      }
    }
    [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
      const int query = int(min(first + i, push.queries - 1)), at = int(key), place = query + offset;
      float score = scores[i] * push.scale;
      if (push.softcap > 0.0) score = push.softcap * hyperbolic_tangent(score / push.softcap);
      bool seen = tile0 + lane < push.keys && at < end;
      if (kCausal == 1) seen = seen && at <= place;
      if (kHasRight == 1) seen = seen && at <= place + push.right;
      if (kHasLeft == 1) seen = seen && at >= place - push.left;
      if (seen && kMask != 0) {
        const uint m = mask0 + uint(query) * row_step(table, 4) + key * item_step(table, 4);
        if (kMask == 1)
          score += Floats(ADDRESS(4)).at[m];
        else
          seen = byte_at(Words(ADDRESS(4)), m) != 0;
      }
      scores[i] = seen ? score : -INFINITY;
      tile[i][lane] = scores[i];
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
    const uint tile_keys = min(uint(GROUP), push.keys - tile0);
    for (uint j = 0; j < tile_keys; ++j) {
      [[unroll]] for (uint i = 0; i < QUERIES; ++i) sum[i] += tile[i][j];
      [[unroll]] for (uint c = 0; c < VALUES; ++c) {
        const uint d = lane + c * GROUP;
        if (d >= push.value_size) break;
        const float value = v.at[v0 + (tile0 + j) * v_row + d * v_item];
        [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
          // What is hidden adds nothing, whatever its value is.
          if (tile[i][j] != 0.0) values[i][c] = fma(tile[i][j], value, values[i][c]);
        }
      }
    }
    barrier();
  }

  const uint y_row = row_step(table, 3);
  [[unroll]] for (uint i = 0; i < QUERIES; ++i) {
    if (first + i >= push.queries) break;
    const bool hidden = isinf(most[i]) && most[i] < 0.0;
    [[unroll]] for (uint c = 0; c < VALUES; ++c) {
      const uint d = lane + c * GROUP;
      if (d >= push.value_size) break;
      const float y = hidden ? (kMaskedRowsAreZero == 1 ? 0.0 : NAN) : values[i][c] / sum[i];
      Floats(ADDRESS(0)).at[y0 + (first + i) * y_row + d] = y;
    }
  }
}
