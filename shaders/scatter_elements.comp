// ScatterElements over a copy of the data: an invocation makes `steps` updates along the axis, one after the other, so
// that reductions need no atomic operations and have one order.
// operands: result, updates, indices, table (dimensions of the invocations, strides of the updates, of the result)
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
layout(constant_id = 1) const uint kRank = 1;
PUSH(uint count; uint steps; uint size; uint update_stride; uint stride;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(3));
  uint rest = item, from = 0, to = 0;
  for (uint d = kRank; d-- > 0;) {
    const uint dim = table.at[d], next = rest / dim, at = rest - next * dim;
    from += at * table.at[kRank + d];
    to += at * table.at[2 * kRank + d];
    rest = next;
  }
  for (uint step = 0; step < push.steps; ++step, from += push.update_stride) {
    const int index = index_at(Integers(ADDRESS(2)), from, push.size);
    if (index < 0)
      REPORT();
    else
      scatter(ADDRESS(0), to + uint(index) * push.stride, Elements(ADDRESS(1)).at[from]);
  }
}
