// C = activation(alpha A B + beta addend + residual), a batch of matrices along z. A group makes ROWS x 64 COLUMNS
// elements and reads A and B where they lie; the rows depend on the group alone, so that A is read once for all lanes.
// For devices whose work-group memory is no faster than their caches; gemm_tile.comp and gemm_matrix.comp serve others.
// operands: C, A, B, addend, residual (which lies as C does), table of offsets (of A, B and C for each item of the batch)
// variant direct: -DROWS=8 -DCOLUMNS=4
// variant narrow: -DROWS=8 -DCOLUMNS=1
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"
#include "common/gemm.glsl"

layout(local_size_x = GROUP) in;

void main() {
  Reals a = Reals(ADDRESS(1));
  Reals b = Reals(ADDRESS(2));
  find_item(gl_WorkGroupID.z, 0);
  const uint row0 = gl_WorkGroupID.y * ROWS, column0 = gl_WorkGroupID.x * GROUP * COLUMNS + gl_LocalInvocationID.x;
  if (column0 >= push.n) return;
  // What lies outside reads the last row or column, and is not written.
  uint rows[ROWS], columns[COLUMNS];
  [[unroll]] for (uint i = 0; i < ROWS; ++i) rows[i] = a_offset + min(row0 + i, push.m - 1) * push.a_row;
  [[unroll]] for (uint j = 0; j < COLUMNS; ++j)
    columns[j] = b_offset + min(column0 + GROUP * j, push.n - 1) * push.b_column;
  float sums[ROWS][COLUMNS];
  [[unroll]] for (uint i = 0; i < ROWS; ++i)
    [[unroll]] for (uint j = 0; j < COLUMNS; ++j) sums[i][j] = 0.0;
  for (uint k = 0; k < push.k; ++k) {
    float bv[COLUMNS];
    [[unroll]] for (uint j = 0; j < COLUMNS; ++j) bv[j] = float(b.at[columns[j] + k * push.b_step]);
    [[unroll]] for (uint i = 0; i < ROWS; ++i) {
      const float av = float(a.at[rows[i] + k * push.a_step]);
      [[unroll]] for (uint j = 0; j < COLUMNS; ++j) sums[i][j] = fma(av, bv[j], sums[i][j]);
    }
  }
  [[unroll]] for (uint i = 0; i < ROWS; ++i) {
    [[unroll]] for (uint j = 0; j < COLUMNS; ++j) {
      const uint row = row0 + i, column = column0 + GROUP * j;
      if (row < push.m && column < push.n) finish_at(row, column, sums[i][j]);
    }
  }
}
