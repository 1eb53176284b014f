// Writes each element to the place that its index names among `kRank` dimensions, in a result whose dimensions may be
// larger, and which is zero elsewhere.
// operands: result (filled), source, indices (int64), table
// The table: the dimensions that indices count in, and the result's strides.
// variant 2: -DT_U16
// variant 4: -DT_U32
// variant 8: -DT_PAIR
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kRank = 1;
PUSH(uint count; uint places;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uvec2 index = Pairs(ADDRESS(2)).at[item];
  if (index.y != 0 || index.x >= push.places) {
    REPORT();
    return;
  }
  Words table = Words(ADDRESS(3));
  uint rest = index.x, to = 0;
  for (uint d = kRank; d-- > 0;) {
    const uint dim = table.at[d], next = rest / dim;
    to += (rest - next * dim) * table.at[kRank + d];
    rest = next;
  }
  Elements(ADDRESS(0)).at[to] = Elements(ADDRESS(1)).at[item];
}
