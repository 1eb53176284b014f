// Copies elements whose places in the source are looked up for each dimension: Pad, Resize by nearest elements. An
// element with a dimension that has none takes the value of the operand `fill`, or zero.
// operands: result, source, table, fill
// The table: for each dimension its size, the word where its places begin (0 where they are strides) and the stride;
// then the places, offsets in elements or 0xffffffff for none.
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
layout(constant_id = 0) const uint kRank = 1;
layout(constant_id = 1) const uint kHasFill = 0;
PUSH(uint count;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(2));
  uint rest = item, from = 0;
  bool inside = true;
  for (uint d = kRank; d-- > 0;) {
    const uint dim = table.at[3 * d], next = rest / dim, at = rest - next * dim, begin = table.at[3 * d + 1];
    const uint place = begin == 0 ? at * table.at[3 * d + 2] : table.at[begin + at];
    inside = inside && place != 0xffffffffu;
    from += place;
    rest = next;
  }
  ELEMENT value = ELEMENT(0);
  if (inside)
    value = Elements(ADDRESS(1)).at[from];
  else if (kHasFill == 1)
    value = Elements(ADDRESS(3)).at[0];
  Elements(ADDRESS(0)).at[item] = value;
}
