// Softmax and LogSoftmax of float32 along one dimension of [outer, n, inner].
// operands: result, source
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/rows.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kLog = 0;
PUSH(uint rows; uint n; uint inner;);

void main() {
  Reals source = Reals(ADDRESS(1));
  Reals result = Reals(ADDRESS(0));
  Row row = row_of(push.rows, push.n, push.inner);
  float peak = -INFINITY;
  for (uint i = row.first; i < push.n; i += row.next) peak = larger(float(source.at[row.base + i * row.step]), peak);
  ACROSS_GROUP(peak, larger)
  float sum = 0.0;
  for (uint i = row.first; i < push.n; i += row.next) sum += exponential(float(source.at[row.base + i * row.step]) - peak);
  ACROSS_GROUP(sum, add)
  const float scale = 1.0 / sum, log_sum = logarithm(sum);
  if (!row.valid) return;
  for (uint i = row.first; i < push.n; i += row.next) {
    const uint at = row.base + i * row.step;
    const float x = float(source.at[at]) - peak;
    result.at[at] = REAL(kLog == 1 ? x - log_sum : exponential(x) * scale);
  }
}
