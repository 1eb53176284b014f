// LpNormalization along one dimension of [outer, n, inner]; where the norm is zero the result is too.
// operands: result, source
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/rows.glsl"

layout(local_size_x = GROUP) in;
// 1: sums of magnitudes, else of squares.
layout(constant_id = 1) const uint kP = 2;
PUSH(uint rows; uint n; uint inner;);

void main() {
  Reals source = Reals(ADDRESS(1));
  Reals result = Reals(ADDRESS(0));
  Row row = row_of(push.rows, push.n, push.inner);
  float norm = 0.0;
  for (uint i = row.first; i < push.n; i += row.next) {
    const float x = float(source.at[row.base + i * row.step]);
    norm += kP == 1 ? abs(x) : x * x;
  }
  ACROSS_GROUP(norm, add)
  if (kP == 2) norm = sqrt(norm);
  if (!row.valid) return;
  for (uint i = row.first; i < push.n; i += row.next) {
    const uint at = row.base + i * row.step;
    result.at[at] = REAL(norm == 0.0 ? 0.0 : float(source.at[at]) / norm);
  }
}
