// ArgMax and ArgMin: the index of the most extreme element of each row, as int64. NaN is the most extreme; among equals
// the first, or the last.
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
#include "common/rows.glsl"
#include "common/typed.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 1) const uint kMin = 0;
layout(constant_id = 2) const uint kLast = 0;
PUSH(uint rows; uint n; uint inner;);

shared NUMBER best_values[GROUP];
shared uint best_indices[GROUP];

bool before(NUMBER x, NUMBER y) { return (kMin == 1 ? x < y : x > y) || (is_nan(x) && !is_nan(y)); }
// Whether x at i is to be taken rather than y at j.
bool wins(NUMBER x, uint i, NUMBER y, uint j) {
  if (before(x, y)) return true;
  return !before(y, x) && (kLast == 1 ? i > j : i < j);
}

void main() {
  Elements source = Elements(ADDRESS(1));
  Row row = row_of(push.rows, push.n, push.inner);
  uint index = min(row.first, push.n - 1);
  NUMBER value = NUMBER(source.at[row.base + index * row.step]);
  for (uint i = row.first + row.next; i < push.n; i += row.next) {
    const NUMBER x = NUMBER(source.at[row.base + i * row.step]);
    if (wins(x, i, value, index)) {
      value = x;
      index = i;
    }
  }
  if (kDense == 1) {
    const uint lane = gl_LocalInvocationID.x;
    best_values[lane] = value;
    best_indices[lane] = index;
    barrier();
    for (uint width = GROUP / 2; width > 0; width /= 2) {
      if (lane < width &&
          wins(best_values[lane + width], best_indices[lane + width], best_values[lane], best_indices[lane])) {
        best_values[lane] = best_values[lane + width];
        best_indices[lane] = best_indices[lane + width];
      }
      barrier();
    }
    index = best_indices[0];
  }
  if (writes(row)) Pairs(ADDRESS(0)).at[row_number()] = uvec2(index, 0);
}
