// The operands of a tiled product of matrices: lines of A and B anywhere in memory, a batch along z, and with each item
// its parts of K. The including shader has common/tile.glsl or common/matrix.glsl before this.
#ifndef COMMON_GEMM_TILE
#define COMMON_GEMM_TILE

#include "common/gemm.glsl"

// 1: all lines begin, and end, at a multiple of B_VALUES elements.
layout(constant_id = 14) const uint kVectorA = 0;
layout(constant_id = 15) const uint kVectorB = 0;

// A chunk of a line that has `size` elements, from number `first` on.
B_CHUNK fetch_line(uint operand, uint line_at, bool inside, uint first, uint size, uint step, bool vector) {
  const int count = inside ? int(size) - int(first) : 0;
  if (count <= 0) return B_CHUNK(0);
  const uint at = line_at + first * step;
  return vector ? FETCH_VECTOR(ADDRESS(operand), at) : FETCH(Reals(ADDRESS(operand)), at, step, count);
}

B_CHUNK fetch_a(uint line, uint chunk, uint k0) {
  const uint row0 = gl_WorkGroupID.y * kTileRows;
  if (kSwapA == 0)
    return fetch_line(1, a_offset + (row0 + line) * push.a_row, row0 + line < push.m, k0 + B_VALUES * chunk, push.k,
                      push.a_step, kVectorA == 1);
  return fetch_line(1, a_offset + (k0 + line) * push.a_step, k0 + line < push.k, row0 + B_VALUES * chunk, push.m,
                    push.a_row, kVectorA == 1);
}

B_CHUNK fetch_b(uint line, uint chunk, uint k0) {
  const uint column0 = gl_WorkGroupID.x * kTileColumns;
  if (kSwapB == 0)
    return fetch_line(2, b_offset + (k0 + line) * push.b_step, k0 + line < push.k, column0 + B_VALUES * chunk, push.n,
                      push.b_column, kVectorB == 1);
  return fetch_line(2, b_offset + (column0 + line) * push.b_column, column0 + line < push.n, k0 + B_VALUES * chunk,
                    push.k, push.b_step, kVectorB == 1);
}

void finish(uint row_in_tile, uint column_in_tile, float sum) {
  const uint row = gl_WorkGroupID.y * kTileRows + row_in_tile, column = gl_WorkGroupID.x * kTileColumns + column_in_tile;
  if (row < push.m && column < push.n) finish_at(row, column, sum);
}

void main() {
  find_item(gl_WorkGroupID.z / kParts, gl_WorkGroupID.z % kParts);
  multiply(k_begin, k_end);
}

#endif
