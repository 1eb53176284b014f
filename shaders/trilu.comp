// Trilu: zeros below (upper) or above the diagonal.
// operands: result, source
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
layout(constant_id = 0) const uint kUpper = 1;
PUSH(uint count; uint rows; uint columns; int diagonal;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const int column = int(item % push.columns), edge = int(item / push.columns % push.rows) + push.diagonal;
  const bool kept = kUpper == 1 ? column >= edge : column <= edge;
  ELEMENT value = ELEMENT(0);
  if (kept) value = Elements(ADDRESS(1)).at[item];
  Elements(ADDRESS(0)).at[item] = value;
}
