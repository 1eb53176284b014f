// Softmax and LogSoftmax of float32 along one dimension of [outer, n, inner].
// operands: result, source
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/rows.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kLog = 0;
PUSH(uint rows; uint n; uint inner;);

void main() {
  Floats source = Floats(ADDRESS(1));
  Floats result = Floats(ADDRESS(0));
  Row row = row_of(push.rows, push.n, push.inner);
  float peak = -INFINITY;
  for (uint i = row.first; i < push.n; i += row.next) peak = larger(source.at[row.base + i * row.step], peak);
  ACROSS_GROUP(peak, larger)
  float sum = 0.0;
  for (uint i = row.first; i < push.n; i += row.next) sum += exponential(source.at[row.base + i * row.step] - peak);
  ACROSS_GROUP(sum, add)
  const float scale = 1.0 / sum, log_sum = logarithm(sum);
  if (!row.valid) return;
  for (uint i = row.first; i < push.n; i += row.next) {
    const uint at = row.base + i * row.step;
    const float x = source.at[at] - peak;
    result.at[at] = kLog == 1 ? x - log_sum : exponential(x) * scale;
  }
}
