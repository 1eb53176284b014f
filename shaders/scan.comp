// CumSum and CumProd: an invocation walks a row, or one of the parts of a long row. Sums of float32 carry what rounding lost
// along.
// operands: result, source, for each part what it sums up to (two numbers: the sum, and what it lost)
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

#if BYTES == 8
#define NUMBER_BYTES 8
#else
#define NUMBER_BYTES 4
#endif
layout(buffer_reference, scalar, buffer_reference_align = NUMBER_BYTES) buffer Numbers {
  NUMBER at[];
};

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kProduct = 0;
layout(constant_id = 1) const uint kExclusive = 0;
layout(constant_id = 2) const uint kReverse = 0;
// 0 whole rows, 1 what each part sums up to, 2 what is in front of each part, 3 the parts with that.
layout(constant_id = 3) const uint kPhase = 0;
PUSH(uint count; uint n; uint inner; uint parts; uint part;);

struct Sum {
  NUMBER sum, lost;
};

Sum nothing() { return Sum(NUMBER(kProduct == 1 ? 1 : 0), NUMBER(0)); }
NUMBER value_of(Sum x) { return kProduct == 1 ? x.sum : x.sum + x.lost; }

Sum with(Sum before, NUMBER x) {
  if (kProduct == 1) return Sum(before.sum * x, before.lost);
#ifdef FLOATING
  precise const NUMBER next = before.sum + x;
  precise const NUMBER more = abs(before.sum) >= abs(x) ? (before.sum - next) + x : (x - next) + before.sum;
  // An infinite sum has lost nothing.
  return Sum(next, !isnan(more) && !isinf(next) ? before.lost + more : before.lost);
#else
  return Sum(before.sum + x, NUMBER(0));
#endif
}

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Numbers sums = Numbers(ADDRESS(2));
  if (kPhase == 2) {
    Sum sum = nothing();
    for (uint p = item * push.parts; p < (item + 1) * push.parts; ++p) {
      const NUMBER own = sums.at[2 * p], lost = sums.at[2 * p + 1];
      sums.at[2 * p] = sum.sum;
      sums.at[2 * p + 1] = sum.lost;
      sum = with(sum, own);
      sum.lost += lost;
    }
    return;
  }
  Elements source = Elements(ADDRESS(1));
  Elements result = Elements(ADDRESS(0));
  const uint row = item / push.parts, begin = item % push.parts * push.part;
  const uint end = min(begin + push.part, push.n);
  const uint first = row / push.inner * push.n * push.inner + row % push.inner;
  Sum sum = nothing();
  if (kPhase == 3) sum = Sum(sums.at[2 * item], sums.at[2 * item + 1]);
  for (uint i = begin; i < end; ++i) {
    const uint at = first + (kReverse == 1 ? push.n - 1 - i : i) * push.inner;
    const NUMBER x = NUMBER(source.at[at]);
    if (kPhase != 1 && kExclusive == 1) result.at[at] = ELEMENT(value_of(sum));
    sum = with(sum, x);
    if (kPhase != 1 && kExclusive == 0) result.at[at] = ELEMENT(value_of(sum));
  }
  if (kPhase != 1) return;
  sums.at[2 * item] = sum.sum;
  sums.at[2 * item + 1] = sum.lost;
}
