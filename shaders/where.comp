// condition ? x : y for elements of any size, which broadcast.
// operands: result, table, condition (bytes), x, y
// variant 1: -DT_U8
// variant 2: -DT_U16
// variant 4: -DT_U32
// variant 8: -DT_PAIR
// variant 16: -DT_QUAD
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/strided.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(1));
  const bool condition = byte_at(Words(ADDRESS(2)), offset_of(table, 0, 0, item)) != 0;
  ELEMENT value;
  if (condition)
    value = Elements(ADDRESS(3)).at[offset_of(table, 0, 1, item)];
  else
    value = Elements(ADDRESS(4)).at[offset_of(table, 0, 2, item)];
  Elements(ADDRESS(0)).at[item] = value;
}
