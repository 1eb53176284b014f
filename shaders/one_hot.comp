// OneHot: [outer, depth, inner] out of indices [outer, inner]; a negative index counts from the back, and one out of
// range is nowhere.
// operands: result, indices, values (off, on)
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
// 0 int32, 1 int64, 2 float32.
layout(constant_id = 0) const uint kIndexType = 0;
PUSH(uint count; uint depth; uint inner;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.inner, row = item / push.inner;
  const uint which = row / push.depth * push.inner + column;
  int index = 0;
  bool fits = true;
  if (kIndexType == 2) {
    const float x = Floats(ADDRESS(1)).at[which];
    fits = abs(x) < 2147483648.0;
    index = fits ? int(x) : 0;
  } else {
    Integers indices = Integers(ADDRESS(1));
    index = indices.at[which * (kIndexType + 1)];
    if (kIndexType == 1) fits = indices.at[which * 2 + 1] == index >> 31;
  }
  if (index < 0) index += int(push.depth);
  const bool on = fits && index == int(row % push.depth);
  Elements(ADDRESS(0)).at[item] = Elements(ADDRESS(2)).at[on ? 1 : 0];
}
