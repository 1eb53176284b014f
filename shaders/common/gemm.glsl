// What all products of matrices share: where an item of the batch lies, and what becomes of a sum. The including shader
// has common/epilogue.glsl before this.
//
// K may be cut into parts, which other groups add up: their sums go, as float32, to a tensor [batch, parts, m, n], out of
// which sum_parts.comp makes the result.
#ifndef COMMON_GEMM
#define COMMON_GEMM

layout(constant_id = 17) const uint kParts = 1;

PUSH(uint m; uint n; uint k; uint a_row; uint a_step; uint b_step; uint b_column; uint c_row; uint c_column;
     uint part_steps; float alpha; float beta; float act_a; float act_b;);

uint a_offset, b_offset, c_offset, sums_offset, k_begin, k_end;

void find_item(uint item, uint part) {
  Words offsets = Words(ADDRESS(5));
  a_offset = offsets.at[3 * item];
  b_offset = offsets.at[3 * item + 1];
  c_offset = offsets.at[3 * item + 2];
  sums_offset = (item * kParts + part) * push.m * push.n;
  k_begin = kParts > 1 ? part * push.part_steps : 0;
  k_end = kParts > 1 ? min(k_begin + push.part_steps, push.k) : push.k;
}

void finish_at(uint row, uint column, float sum) {
  if (kParts > 1) {
    Floats(ADDRESS(6)).at[sums_offset + row * push.n + column] = sum;
    return;
  }
  const uint element = c_offset + row * push.c_row + column * push.c_column;
  Reals(ADDRESS(0)).at[element] = REAL(epilogue(sum, Reals(ADDRESS(3)), row, column, element, Reals(ADDRESS(4)),
                                                 push.alpha, push.beta, push.act_a, push.act_b));
}

#endif
