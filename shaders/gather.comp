// Rows of a tensor [outer, size, inner] by indices along the middle: elements of 4, 8 or 16 bytes. An index outside of
// [-size, size) reads nothing, and is reported.
// operands: result, data, indices
// variant 4: -DELEMENT=uint -DBYTES=4
// variant 8: -DELEMENT=uvec2 -DBYTES=8
// variant 16: -DELEMENT=uvec4 -DBYTES=16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(buffer_reference, scalar, buffer_reference_align = BYTES) buffer Elements {
  ELEMENT at[];
};

layout(local_size_x = GROUP) in;
// Words of an index: 1 for int32, 2 for int64.
layout(constant_id = 0) const uint kIndexWords = 1;
PUSH(uint count; uint size; uint inner; uint indices;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.inner, row = item / push.inner;
  const uint which = row % push.indices, outer = row / push.indices;
  Integers indices = Integers(ADDRESS(2));
  int index = indices.at[which * kIndexWords];
  // The upper half of a number that fits is its sign.
  const bool fits = kIndexWords == 1 || indices.at[which * kIndexWords + kIndexWords - 1] == index >> 31;
  if (index < 0) index += int(push.size);
  ELEMENT value = ELEMENT(0);
  if (fits && index >= 0 && index < int(push.size))
    value = Elements(ADDRESS(1)).at[(outer * push.size + uint(index)) * push.inner + column];
  else
    REPORT();
  Elements(ADDRESS(0)).at[item] = value;
}
