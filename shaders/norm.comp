// Normalisation of dense rows of float32: (x - mean) / sqrt(variance + epsilon) * scale + bias, or without the mean
// (RMS). A skipped addend and its bias come before, and their sum may be asked for.
// operands: Y, X, scale, bias, mean, inverse deviation, skip, skip's bias, sum
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/rows.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kRms = 0;
// What is there: bit 0 scale, 1 bias, 2 mean, 3 inverse deviation, 4 skip, 5 its bias, 6 the sum.
layout(constant_id = 2) const uint kParts = 0;
// Elements of skip before it repeats, groups of channels whose rows have numbers of their own for scale and bias.
PUSH(uint rows; uint n; uint skip_count; float epsilon; uint scale_step; uint scale_period;);

bool has(uint bit) { return ((kParts >> bit) & 1) == 1; }

float value_at(Row row, uint i) {
  float x = float(Reals(ADDRESS(1)).at[row.base + i]);
  if (has(4)) x += float(Reals(ADDRESS(6)).at[(row.base + i) % push.skip_count]);
  if (has(5)) x += float(Reals(ADDRESS(7)).at[i]);
  return x;
}

void main() {
  Row row = row_of(push.rows, push.n, 1);
  float mean = 0.0;
  if (kRms == 0) {
    for (uint i = row.first; i < push.n; i += row.next) mean += value_at(row, i);
    ACROSS_GROUP(mean, add)
    mean /= float(push.n);
  }
  float squares = 0.0;
  for (uint i = row.first; i < push.n; i += row.next) {
    const float x = value_at(row, i) - mean;
    squares = fma(x, x, squares);
  }
  ACROSS_GROUP(squares, add)
  const float inverse = 1.0 / sqrt(squares / float(push.n) + push.epsilon);
  if (!row.valid) return;
  if (writes(row)) {
    if (has(2)) Reals(ADDRESS(4)).at[row_number()] = REAL(mean);
    if (has(3)) Reals(ADDRESS(5)).at[row_number()] = REAL(inverse);
  }
  // Along the row, or by the channel that the element lies in (InstanceNormalization).
  const uint period = push.scale_period;
  for (uint i = row.first; i < push.n; i += row.next) {
    const float x = value_at(row, i);
    if (has(6)) Reals(ADDRESS(8)).at[row.base + i] = REAL(x);
    const uint by = push.scale_step == 0 ? i : (row.base + i) / push.scale_step % period;
    float y = (x - mean) * inverse;
    if (has(0)) y *= float(Reals(ADDRESS(2)).at[by]);
    if (has(1)) y += float(Reals(ADDRESS(3)).at[by]);
    Reals(ADDRESS(0)).at[row.base + i] = REAL(y);
  }
}
