// GatherElements: each element of the result has an index of its own along one axis of the data.
// operands: result, data, indices, table (the result's dimensions, the strides of the data, 0 along the axis)
// variant 1: -DT_U8
// variant 2: -DT_U16
// variant 4: -DT_U32
// variant 8: -DT_PAIR
// variant 16: -DT_QUAD
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/index.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kRank = 1;
PUSH(uint count; uint size; uint stride;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(3));
  uint rest = item, from = 0;
  for (uint d = kRank; d-- > 0;) {
    const uint dim = table.at[d], next = rest / dim;
    from += (rest - next * dim) * table.at[kRank + d];
    rest = next;
  }
  const int index = index_at(Integers(ADDRESS(2)), item, push.size);
  if (index < 0)
    REPORT();
  else
    Elements(ADDRESS(0)).at[item] = Elements(ADDRESS(1)).at[from + uint(index) * push.stride];
}
