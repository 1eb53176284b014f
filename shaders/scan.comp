// CumSum and CumProd: an invocation walks a row. Sums of float32 carry what rounding lost along.
// operands: result, source
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
layout(constant_id = 0) const uint kProduct = 0;
layout(constant_id = 1) const uint kExclusive = 0;
layout(constant_id = 2) const uint kReverse = 0;
PUSH(uint rows; uint n; uint inner;);

void main() {
  const uint row = item_number();
  if (row >= push.rows) return;
  Elements source = Elements(ADDRESS(1));
  Elements result = Elements(ADDRESS(0));
  const uint first = row / push.inner * push.n * push.inner + row % push.inner;
  precise NUMBER sum = NUMBER(kProduct == 1 ? 1 : 0);
  precise NUMBER lost = NUMBER(0);
  for (uint i = 0; i < push.n; ++i) {
    const uint at = first + (kReverse == 1 ? push.n - 1 - i : i) * push.inner;
    const NUMBER x = NUMBER(source.at[at]);
    if (kExclusive == 1) result.at[at] = ELEMENT(sum + lost);
    if (kProduct == 1) {
      sum = sum * x;
    } else {
#ifdef FLOATING
      precise const NUMBER next = sum + x;
      precise const NUMBER more = abs(sum) >= abs(x) ? (sum - next) + x : (x - next) + sum;
      // An infinite sum has lost nothing.
      if (!isnan(more) && !isinf(next)) lost += more;
      sum = next;
#else
      sum = sum + x;
#endif
    }
    if (kExclusive == 0) result.at[at] = ELEMENT(sum + lost);
  }
}
