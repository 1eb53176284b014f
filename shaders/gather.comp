// Rows of a tensor [outer, size, inner] by indices along the middle: elements of any size. An index outside of
// [-size, size) reads nothing, and is reported.
// operands: result, data, indices
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
PUSH(uint count; uint size; uint inner; uint indices;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.inner, row = item / push.inner;
  const uint which = row % push.indices, outer = row / push.indices;
  const int index = index_at(Integers(ADDRESS(2)), which, push.size);
  ELEMENT value = ELEMENT(0);
  if (index >= 0)
    value = Elements(ADDRESS(1)).at[(outer * push.size + uint(index)) * push.inner + column];
  else
    REPORT();
  Elements(ADDRESS(0)).at[item] = value;
}
