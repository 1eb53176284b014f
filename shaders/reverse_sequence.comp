// The first elements of each sequence in reverse, the others as they are: [d0, d1, inner], of which one of the first two
// dimensions is the time and the other the batch.
// operands: result, source, lengths (int64)
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
layout(constant_id = 0) const uint kTimeFirst = 0;
PUSH(uint count; uint steps; uint batches; uint inner;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.inner, place = item / push.inner;
  const uint batch = kTimeFirst == 1 ? place % push.batches : place / push.steps;
  const uint step = kTimeFirst == 1 ? place / push.batches : place % push.steps;
  const uvec2 length = Pairs(ADDRESS(2)).at[batch];
  if (length.y != 0 || length.x > push.steps) {
    REPORT();
    return;
  }
  const uint from = step < length.x ? length.x - 1 - step : step;
  const uint at = kTimeFirst == 1 ? from * push.batches + batch : batch * push.steps + from;
  Elements(ADDRESS(0)).at[item] = Elements(ADDRESS(1)).at[at * push.inner + column];
}
