// C = activation(alpha A B + beta addend + residual), a batch of float32 matrices along z.
//
// "tile": a group of 128 makes 64 x 64 elements out of work-group memory. "direct" and "narrow": a group makes ROWS x
// 64 COLUMNS elements and reads A and B where they lie; the rows depend on the group alone, so that A is read once for
// all lanes. For devices whose work-group memory is no faster than their caches.
// operands: C, A, B, addend, residual (which lies as C does), table of offsets (of A, B and C for each item of the batch)
// variant tile: -DTILE
// variant direct: -DROWS=8 -DCOLUMNS=4
// variant narrow: -DROWS=8 -DCOLUMNS=1
// float16 arithmetic
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/epilogue.glsl"
// Products and short sums of them may be float16; long sums never are.
#ifdef ARITHMETIC16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define FACTOR float16_t
#else
#define FACTOR float
#endif

PUSH(uint m; uint n; uint k; uint a_row; uint a_step; uint b_step; uint b_column; uint c_row; float alpha; float beta;
     float act_a; float act_b;);

void finish(uint row, uint column, uint c_offset, float sum) {
  const uint element = c_offset + row * push.c_row + column;
  Reals(ADDRESS(0)).at[element] = REAL(epilogue(sum, Reals(ADDRESS(3)), row, column, element, Reals(ADDRESS(4)),
                                                 push.alpha, push.beta, push.act_a, push.act_b));
}

#ifdef TILE

layout(local_size_x = 128) in;
const uint kTile = 64, kDepth = 16;
shared FACTOR a_tile[kDepth][kTile + 1];
shared FACTOR b_tile[kDepth][kTile];

void main() {
  Words offsets = Words(ADDRESS(5));
  Reals a = Reals(ADDRESS(1));
  Reals b = Reals(ADDRESS(2));
  const uint a_offset = offsets.at[3 * gl_WorkGroupID.z], b_offset = offsets.at[3 * gl_WorkGroupID.z + 1],
             c_offset = offsets.at[3 * gl_WorkGroupID.z + 2];
  const uint row0 = gl_WorkGroupID.y * kTile, column0 = gl_WorkGroupID.x * kTile;
  const uint id = gl_LocalInvocationID.x;
  const uint tx = id % 16, ty = id / 16;
  float sums[8][4];
  [[unroll]] for (uint i = 0; i < 8; ++i)
    [[unroll]] for (uint j = 0; j < 4; ++j) sums[i][j] = 0.0;
  for (uint k0 = 0; k0 < push.k; k0 += kDepth) {
    // Neighbouring invocations read along whichever dimension lies dense.
    for (uint t = id; t < kTile * kDepth; t += 128) {
      const uint r = push.a_step == 1 ? t / kDepth : t % kTile, d = push.a_step == 1 ? t % kDepth : t / kTile;
      const uint row = row0 + r, k = k0 + d;
      a_tile[d][r] = row < push.m && k < push.k ? FACTOR(a.at[a_offset + row * push.a_row + k * push.a_step]) : FACTOR(0.0);
    }
    for (uint t = id; t < kTile * kDepth; t += 128) {
      const uint c = push.b_column == 1 ? t % kTile : t / kDepth, d = push.b_column == 1 ? t / kTile : t % kDepth;
      const uint column = column0 + c, k = k0 + d;
      b_tile[d][c] = column < push.n && k < push.k ? FACTOR(b.at[b_offset + k * push.b_step + column * push.b_column]) : FACTOR(0.0);
    }
    barrier();
#ifdef ARITHMETIC16
    FACTOR part[8][4];
    [[unroll]] for (uint i = 0; i < 8; ++i)
      [[unroll]] for (uint j = 0; j < 4; ++j) part[i][j] = FACTOR(0.0);
#define PART part
#else
#define PART sums
#endif
    for (uint d = 0; d < kDepth; ++d) {
      FACTOR av[8], bv[4];
      [[unroll]] for (uint i = 0; i < 8; ++i) av[i] = a_tile[d][ty * 8 + i];
      [[unroll]] for (uint j = 0; j < 4; ++j) bv[j] = b_tile[d][tx + 16 * j];
      [[unroll]] for (uint i = 0; i < 8; ++i)
        [[unroll]] for (uint j = 0; j < 4; ++j) PART[i][j] = fma(av[i], bv[j], PART[i][j]);
    }
#ifdef ARITHMETIC16
    [[unroll]] for (uint i = 0; i < 8; ++i)
      [[unroll]] for (uint j = 0; j < 4; ++j) sums[i][j] += float(part[i][j]);
#endif
    barrier();
  }
  [[unroll]] for (uint i = 0; i < 8; ++i) {
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      const uint row = row0 + ty * 8 + i, column = column0 + tx + 16 * j;
      if (row < push.m && column < push.n) finish(row, column, c_offset, sums[i][j]);
    }
  }
}

#else

layout(local_size_x = GROUP) in;

void main() {
  Words offsets = Words(ADDRESS(5));
  Reals a = Reals(ADDRESS(1));
  Reals b = Reals(ADDRESS(2));
  const uint a_offset = offsets.at[3 * gl_WorkGroupID.z], b_offset = offsets.at[3 * gl_WorkGroupID.z + 1],
             c_offset = offsets.at[3 * gl_WorkGroupID.z + 2];
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
      if (row < push.m && column < push.n) finish(row, column, c_offset, sums[i][j]);
    }
  }
}

#endif
