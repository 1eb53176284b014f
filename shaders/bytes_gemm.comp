// Products of 8-bit integers with zero points: sums of int32, floats, or bytes again. An invocation makes one element.
// operands: result, A, B, zero of A, zero of B, scale of A, scale of B, scale of the result, zero of the result, table, bias
// The table: for each item of the batch where its matrices begin in A and in B.
// variant i32: -DT_U8
// variant float: -DT_U8 -DSCALE
// variant byte: -DT_U8 -DSCALE -DQUANTIZE
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/typed.glsl"
#include "common/bytes.glsl"

layout(local_size_x = GROUP) in;
// 0 none, 1 int32 that is added to the sums, 2 floats behind the scale: of one row and column, or of all of them.
layout(constant_id = 3) const uint kBias = 0;
layout(constant_id = 4) const uint kActivation = 0;
// How many items a scale or zero point has: one for all, for each row or column, or for each of all items' lines.
PUSH(uint count; uint m; uint n; uint k; uint a_stride; uint a_step; uint b_step; uint b_column; uint a_zeros; uint b_zeros;
     uint a_scales; uint b_scales; uint y_scales; uint y_zeros; uint bias_rows; uint bias_columns; float alpha; float act_a;
     float act_b;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  const uint column = item % push.n, line = item / push.n, row = line % push.m, matrix = line / push.m;
  Words table = Words(ADDRESS(9));
  const uint a0 = table.at[2 * matrix], b0 = table.at[2 * matrix + 1];
  const uint depth = max(push.k, 1);
  const uint a_line = a0 / depth + row, b_line = b0 / depth + column;
  const int a_zero = push.a_zeros == 0 ? 0 : byte_at(Elements(ADDRESS(3)), a_line % push.a_zeros, kSignedA);
  const int b_zero = push.b_zeros == 0 ? 0 : byte_at(Elements(ADDRESS(4)), b_line % push.b_zeros, kSignedB);
  uint a = a0 + row * push.a_stride, b = b0 + column * push.b_column;
  int sum = 0;
  for (uint i = 0; i < push.k; ++i, a += push.a_step, b += push.b_step)
    sum += (byte_at(Elements(ADDRESS(1)), a, kSignedA) - a_zero) * (byte_at(Elements(ADDRESS(2)), b, kSignedB) - b_zero);
  const uint at_bias = (push.bias_rows == 1 ? 0 : row) * push.bias_columns + (push.bias_columns == 1 ? 0 : column);
  if (kBias == 1) sum += Integers(ADDRESS(10)).at[at_bias];
#ifdef SCALE
  float scale = push.alpha * Floats(ADDRESS(5)).at[a_line % push.a_scales] * Floats(ADDRESS(6)).at[b_line % push.b_scales];
#endif
#if defined(QUANTIZE)
  const float y_scale = Floats(ADDRESS(7)).at[line % push.y_scales];
  scale /= y_scale;
  const int zero = push.y_zeros == 0 ? 0 : byte_at(Elements(ADDRESS(8)), line % push.y_zeros, kSignedY);
  const Bounds bounds = bounds_of(zero, kActivation, push.act_a, push.act_b, y_scale);
  Elements(ADDRESS(0)).at[item] = quantized(float(sum) * scale, bounds.low, bounds.high, zero);
#elif defined(SCALE)
  const float product = float(sum) * scale;
  Floats(ADDRESS(0)).at[item] = kBias == 2 ? product + Floats(ADDRESS(10)).at[at_bias] : product;
#else
  Integers(ADDRESS(0)).at[item] = sum;
#endif
}
