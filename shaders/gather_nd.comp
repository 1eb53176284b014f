// GatherND: slices of `inner` elements that are named by tuples of indices.
// operands: result, data, indices, table (the sizes of the dimensions that a tuple indexes, then their strides)
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
layout(constant_id = 1) const uint kLength = 1;
PUSH(uint count; uint inner; uint tuples_per_batch; uint batch_stride;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(3));
  const uint tuple = item / push.inner;
  uint from = tuple / push.tuples_per_batch * push.batch_stride + item % push.inner;
  for (uint d = 0; d < kLength; ++d) {
    const int index = index_at(Integers(ADDRESS(2)), tuple * kLength + d, table.at[d]);
    if (index < 0) {
      REPORT();
      return;
    }
    from += uint(index) * table.at[kLength + d];
  }
  Elements(ADDRESS(0)).at[item] = Elements(ADDRESS(1)).at[from];
}
