// One value everywhere, or on a diagonal of a matrix with zeros around it.
// operands: result, value
// variant 1: -DT_U8
// variant 2: -DT_U16
// variant 4: -DT_U32
// variant 8: -DT_PAIR
// variant 16: -DT_QUAD
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kDiagonal = 0;
PUSH(uint count; uint columns; int offset;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const bool here = kDiagonal == 0 || int(item % push.columns) == int(item / push.columns) + push.offset;
  Elements(ADDRESS(0)).at[item] = here ? Elements(ADDRESS(1)).at[0] : ELEMENT(0);
}
