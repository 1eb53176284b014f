// TopK: an invocation counts how many elements of its row come before its own, which is where that goes. NaN is larger
// than every number, and equals stand in the order of their indices.
// operands: values, indices (int64), source
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
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kLargest = 1;
// Which outputs there are: bit 0 the values, bit 1 the indices.
layout(constant_id = 1) const uint kOutputs = 3;
PUSH(uint count; uint n; uint inner; uint k;);

bool before(NUMBER x, NUMBER y) {
  if (kLargest == 1) return x > y || (is_nan(x) && !is_nan(y));
  return x < y || (!is_nan(x) && is_nan(y));
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Elements source = Elements(ADDRESS(2));
  const uint column = item % push.inner, own = item / push.inner % push.n, outer = item / push.inner / push.n;
  const uint base = outer * push.n * push.inner + column;
  const NUMBER x = NUMBER(source.at[item]);
  uint place = 0;
  for (uint i = 0; i < push.n && place < push.k; ++i) {
    const NUMBER y = NUMBER(source.at[base + i * push.inner]);
    if (before(y, x) || (i < own && !before(x, y))) ++place;
  }
  if (place >= push.k) return;
  const uint to = (outer * push.k + place) * push.inner + column;
  if ((kOutputs & 1) != 0) Elements(ADDRESS(0)).at[to] = source.at[item];
  if ((kOutputs & 2) != 0) Pairs(ADDRESS(1)).at[to] = uvec2(own, 0);
}
