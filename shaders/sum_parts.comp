// What follows a product or convolution whose K was cut into parts: their sums [items, parts, m, n], added up in order,
// with scale, addend, residual and activation behind them.
// operands: C, sums, addend, residual, table of offsets (of A, B and C for each item), where items do not lie densely
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"

layout(local_size_x = GROUP) in;
layout(constant_id = 3) const uint kOffsets = 0;
PUSH(uint count; uint parts; uint m; uint n; uint c_row; uint c_column; float alpha; float beta; float act_a;
     float act_b;);

void main() {
  const uint number = item_number();
  if (number >= push.count) return;
  const uint size = push.m * push.n, item = number / size, place = number % size;
  const uint row = place / push.n, column = place % push.n;
  Floats sums = Floats(ADDRESS(1));
  float sum = 0.0;
  for (uint part = 0; part < push.parts; ++part) sum += sums.at[(item * push.parts + part) * size + place];
  const uint offset = kOffsets == 1 ? Words(ADDRESS(4)).at[3 * item + 2] : item * size;
  const uint element = offset + row * push.c_row + column * push.c_column;
  Reals(ADDRESS(0)).at[element] = REAL(epilogue(sum, Reals(ADDRESS(2)), row, column, element, Reals(ADDRESS(3)),
                                                 push.alpha, push.beta, push.act_a, push.act_b));
}
