// Einsum: an invocation makes one element, the sum over all labels that the result lacks of products of up to four
// operands.
// operands: result, table, operands
// The table: sizes of the labels, those of the result first, then for each label the operands' strides.
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
layout(constant_id = 0) const uint kOperands = 2;
layout(constant_id = 1) const uint kLabels = 1;
// Labels of the result.
layout(constant_id = 2) const uint kOuter = 1;
PUSH(uint count; uint terms;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(1));
  uint outer[4] = uint[4](0, 0, 0, 0);
  uint rest = item;
  for (uint i = kOuter; i-- > 0;) {
    const uint next = rest / table.at[i], at = rest - next * table.at[i];
    for (uint o = 0; o < kOperands; ++o) outer[o] += at * table.at[kLabels + i * kOperands + o];
    rest = next;
  }
  NUMBER sum = NUMBER(0);
  for (uint term = 0; term < push.terms; ++term) {
    uint place[4] = outer;
    uint inner = term;
    for (uint i = kLabels; i-- > kOuter;) {
      const uint next = inner / table.at[i], at = inner - next * table.at[i];
      for (uint o = 0; o < kOperands; ++o) place[o] += at * table.at[kLabels + i * kOperands + o];
      inner = next;
    }
    NUMBER product = NUMBER(Elements(ADDRESS(2)).at[place[0]]);
    for (uint o = 1; o < kOperands; ++o) product *= NUMBER(Elements(ADDRESS(2 + o)).at[place[o]]);
    sum += product;
  }
  Elements(ADDRESS(0)).at[item] = ELEMENT(sum);
}
