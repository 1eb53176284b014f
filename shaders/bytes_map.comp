// Functions of quantized bytes, of which two may broadcast, that give quantized bytes.
// operands: result, A, scale of A, zero of A, B, scale of B, zero of B, scale of the result, its zero, condition, table
// variant : -DT_U8
#version 460
#extension GL_GOOGLE_include_directive : require
#define BYTES_FIRST 2
#include "common/math.glsl"
#include "common/strided.glsl"
#include "common/bytes.glsl"

layout(local_size_x = GROUP) in;
const uint kAdd = 0, kMul = 1, kSame = 2, kSigmoid = 3, kLeakyRelu = 4, kLookUp = 5, kWhere = 6;
layout(constant_id = 5) const uint kFunction = 0;
layout(constant_id = 6) const uint kActivation = 0;
// Bits of the zeros that are there: A, B, the result.
layout(constant_id = 7) const uint kZeros = 0;
// Items [begin, begin + part) of rows of the result.
PUSH(uint count; uint part; uint row; uint begin; float act_a; float act_b;);

int zero_of(uint bit, uint operand, uint is_signed) {
  return (kZeros >> bit & 1) == 1 ? byte_at(Elements(ADDRESS(operand)), 0, is_signed) : 0;
}
float scale_of(uint operand) { return Floats(ADDRESS(operand)).at[0]; }

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint to = item / push.part * push.row + push.begin + item % push.part;
  Words table = Words(ADDRESS(10));
  const uint at_a = offset_of(table, 0, 0, item), at_b = offset_of(table, 0, 1, item);
  if (kFunction == kLookUp) {
    const uint which = uint(byte_at(Elements(ADDRESS(1)), at_a, 0));
    Elements(ADDRESS(0)).at[to] = Elements(ADDRESS(4)).at[which];
    return;
  }
  bool second = false;
  if (kFunction == kWhere) second = byte_at(Elements(ADDRESS(9)), offset_of(table, 0, 2, item), 0) == 0;
  const float y_scale = scale_of(7);
  const int y_zero = zero_of(2, 8, kSignedY);
  const Bounds bounds = bounds_of(y_zero, kActivation, push.act_a, push.act_b, y_scale);
  const float a = second ? 0.0 : float(byte_at(Elements(ADDRESS(1)), at_a, kSignedA) - zero_of(0, 3, kSignedA));
  float y;
  if (kFunction == kAdd || kFunction == kMul || second) {
    const float b = float(byte_at(Elements(ADDRESS(4)), at_b, kSignedB) - zero_of(1, 6, kSignedB));
    if (kFunction == kAdd)
      y = a * (scale_of(2) / y_scale) + b * (scale_of(5) / y_scale);
    else if (kFunction == kMul)
      y = a * b * (scale_of(2) * scale_of(5) / y_scale);
    else
      y = b * scale_of(5) / y_scale;
  } else {
    y = a * scale_of(2);
    if (kFunction == kSigmoid) y = sigmoid(y);
    if (kFunction == kLeakyRelu && y < 0.0) y *= push.act_a;
    y /= y_scale;
  }
  Elements(ADDRESS(0)).at[to] = quantized(y, bounds.low, bounds.high, y_zero);
}
