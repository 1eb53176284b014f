// start + i * delta.
// operands: result, start, delta
// variant i16: -DT_I16
// variant i32: -DT_I32
// variant i64: -DT_I64
// variant f32: -DT_F32
// variant f64: -DT_F64
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const NUMBER start = NUMBER(Elements(ADDRESS(1)).at[0]), delta = NUMBER(Elements(ADDRESS(2)).at[0]);
  precise const NUMBER step = NUMBER(item) * delta;
  precise const NUMBER number = start + step;
  Elements(ADDRESS(0)).at[item] = ELEMENT(number);
}
