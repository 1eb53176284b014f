// Softmax of attention's scores, rows of [batch, heads, queries, keys], with a mask and causality: a key that a query
// may not see counts as minus infinity. A row without keys becomes zeros, or NaN.
// operands: result, scores, mask, the scores on their way (see kScores), mask of the keys (int32)
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/rows.glsl"

layout(local_size_x = GROUP) in;
// 0 none, 1 added, 2 bytes of which 0 hides a key.
layout(constant_id = 1) const uint kMask = 0;
layout(constant_id = 2) const uint kCausal = 0;
layout(constant_id = 3) const uint kMaskedRowsAreZero = 0;
// The caller gets the scores: 1 with the cap, 2 with the mask too, 3 the same with zeros where a query may not see.
layout(constant_id = 4) const uint kScores = 0;
// The keys that the mask names get `filter` added: 1 from an end on, 2 in front of a beginning too, 3 those of a sequence,
// 4 of a query, 5 of a place in a square of places.
layout(constant_id = 5) const uint kKeyMask = 0;
// The mask's strides; it repeats along the batch after so many, and what lies behind `mask_keys` is hidden.
PUSH(uint rows; uint n; uint heads; uint queries; uint mask_batch; uint mask_head; uint mask_row; uint mask_item;
     uint mask_batches; uint mask_keys; int offset; float softcap; uint key_width; float filter_value;);

float capped_score(Row row, uint key) {
  const float score = float(Reals(ADDRESS(1)).at[row.base + key]);
  return push.softcap > 0.0 ? push.softcap * hyperbolic_tangent(score / push.softcap) : score;
}

bool may_see(uint number, uint key) { return kCausal == 0 || int(key) <= int(number % push.queries) + push.offset; }

float key_mask_at(uint batch, uint query, uint key) {
  Integers mask = Integers(ADDRESS(4));
  bool taken = true;
  if (kKeyMask <= 2) {
    const int end = clamp(mask.at[batch], 0, int(push.n));
    const uint batches = push.rows / (push.heads * push.queries);
    const int begin = kKeyMask == 2 ? clamp(mask.at[batches + batch], 0, end) : 0;
    taken = int(key) >= begin && int(key) < end;
  } else {
    uint line = batch;
    if (kKeyMask == 4) line = batch * push.queries + query;
    if (kKeyMask == 5) line = batch * push.key_width + uint(push.offset) + query;
    taken = mask.at[line * push.key_width + key] > 0;
  }
  return taken ? 0.0 : push.filter_value;
}

float score_at(Row row, uint number, uint key) {
  const uint query = number % push.queries, head = number / push.queries % push.heads,
             batch = number / (push.queries * push.heads);
  if (!may_see(number, key)) return -INFINITY;
  float score = capped_score(row, key);
  if (kKeyMask != 0) score += key_mask_at(batch, query, key);
  if (kMask == 0) return score;
  if (key >= push.mask_keys) return -INFINITY;
  const uint at = batch % push.mask_batches * push.mask_batch + head * push.mask_head + query * push.mask_row +
                  key * push.mask_item;
  if (kMask == 1) return score + float(Reals(ADDRESS(2)).at[at]);
  return ((Words(ADDRESS(2)).at[at / 4] >> (8 * (at % 4))) & 0xff) != 0 ? score : -INFINITY;
}

void main() {
  Reals result = Reals(ADDRESS(0));
  Row row = row_of(push.rows, push.n, 1);
  const uint number = min(row_number(), push.rows - 1);
  float peak = -INFINITY;
  for (uint i = row.first; i < push.n; i += row.next) peak = larger(score_at(row, number, i), peak);
  ACROSS_GROUP(peak, larger)
  const bool hidden = isinf(peak) && peak < 0.0;
  float sum = 0.0;
  for (uint i = row.first; i < push.n; i += row.next) {
    sum += hidden ? 0.0 : exponential(score_at(row, number, i) - peak);
  }
  ACROSS_GROUP(sum, add)
  const float scale = 1.0 / sum;
  if (!row.valid) return;
  for (uint i = row.first; i < push.n; i += row.next) {
    const float score = score_at(row, number, i);
    if (kScores == 1) Reals(ADDRESS(3)).at[row.base + i] = REAL(capped_score(row, i));
    if (kScores > 1) Reals(ADDRESS(3)).at[row.base + i] = REAL(kScores == 3 && !may_see(number, i) ? 0.0 : score);
    const float e = exponential(score - peak) * scale;
    result.at[row.base + i] = REAL(hidden ? (kMaskedRowsAreZero == 1 ? 0.0 : NAN) : e);
  }
}
