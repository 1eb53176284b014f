// ScatterND over a copy of the data: an invocation makes `steps` updates of one element of a slice, one after the
// other, so that reductions have one order; or one, where they are atomic.
// operands: result, updates, indices, table (the sizes of the dimensions that a tuple indexes, then their strides)
// variant i8: -DT_I8
// variant u8: -DT_U8
// variant i16: -DT_I16
// variant u16: -DT_U16
// variant i32: -DT_I32
// variant u32: -DT_U32
// variant i64: -DT_I64
// variant u64: -DT_U64
// variant f32: -DT_F32
// variant f64: -DT_F64
// variant pair: -DT_PAIR
// variant quad: -DT_QUAD
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/index.glsl"
#include "common/scatter.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kLength = 1;
PUSH(uint count; uint steps; uint inner;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(3));
  const uint first = item / push.inner * push.steps, column = item % push.inner;
  for (uint tuple = first; tuple < first + push.steps; ++tuple) {
    uint to = column;
    bool inside = true;
    for (uint d = 0; d < kLength; ++d) {
      const int index = index_at(Integers(ADDRESS(2)), tuple * kLength + d, table.at[d]);
      inside = inside && index >= 0;
      to += uint(index) * table.at[kLength + d];
    }
    if (!inside)
      REPORT();
    else
      scatter(ADDRESS(0), to, Elements(ADDRESS(1)).at[tuple * push.inner + column]);
  }
}
