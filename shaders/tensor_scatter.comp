// Writes an update [outer, steps, inner] into a copy of a cache [outer, size, inner], from a place of each batch item on.
// operands: result (the copy), update, places (int64; left out for 0)
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
layout(constant_id = 0) const uint kHasPlaces = 0;
layout(constant_id = 1) const uint kCircular = 0;
PUSH(uint count; uint steps; uint size; uint inner; uint per_batch;);

// The remainder of a 64-bit number that is not negative.
uint remainder_of(uvec2 number, uint by) {
  uint rest = number.y % by;
  for (int bit = 31; bit >= 0; --bit) {
    // Twice the rest may need 33 bits.
    const bool over = (rest & 0x80000000u) != 0;
    rest = rest << 1 | (number.x >> bit & 1u);
    if (over || rest >= by) rest -= by;
  }
  return rest;
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.inner, step = item / push.inner % push.steps, outer = item / push.inner / push.steps;
  uint first = 0;
  if (kHasPlaces == 1) {
    const uvec2 place = Pairs(ADDRESS(2)).at[outer / push.per_batch];
    const bool negative = (place.y & 0x80000000u) != 0;
    if (negative || (kCircular == 0 && (place.y != 0 || place.x > push.size - push.steps))) {
      REPORT();
      return;
    }
    first = kCircular == 1 ? remainder_of(place, push.size) : place.x;
  }
  const uint at = kCircular == 1 ? (first + step) % push.size : first + step;
  Elements(ADDRESS(0)).at[(outer * push.size + at) * push.inner + column] = Elements(ADDRESS(1)).at[item];
}
