// A tile of C = A B out of work-group memory by cooperative matrices: factors of float16, sums of float32. With PER_ELEMENT
// (VK_NV_cooperative_matrix2) an invocation finishes the elements of a matrix that it holds. The shapes of
// the matrices, of a subgroup's part and of the tile are specialization constants (cpp/ops/gpu/tiles.h).
//
// The shader defines B_VALUES, how many elements of B are a chunk (8 or 2; of A it is always 8), and the functions of
// common/fetches.glsl, where a line is a row of the tile as it lies in memory: of A a row, or, with kSwapA, a step of k;
// of B a step of k, or, with kSwapB, a column.
#ifndef COMMON_MATRIX
#define COMMON_MATRIX

#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#ifdef PER_ELEMENT
#extension GL_NV_cooperative_matrix2 : require
#endif
#include "common/base.glsl"

layout(local_size_x_id = 3) in;
layout(constant_id = 3) const uint kInvocations = 128;
// One cooperative matrix.
layout(constant_id = 4) const uint kM = 16;
layout(constant_id = 5) const uint kN = 16;
layout(constant_id = 6) const uint kK = 16;
// Matrices of a subgroup, and subgroups of the tile.
layout(constant_id = 7) const uint kRows = 1;
layout(constant_id = 8) const uint kColumns = 1;
layout(constant_id = 9) const uint kDown = 2;
layout(constant_id = 10) const uint kAcross = 2;
// Steps of k at a time.
layout(constant_id = 11) const uint kDepth = 32;
// 1: lines of A lie along its rows; lines of B along its columns.
layout(constant_id = 12) const uint kSwapA = 0;
layout(constant_id = 13) const uint kSwapB = 0;

const uint kTileRows = kM * kRows * kDown;
const uint kTileColumns = kN * kColumns * kAcross;
const uint kLinesA = kTileRows * (1 - kSwapA) + kDepth * kSwapA;
const uint kLinesB = kDepth * (1 - kSwapB) + kTileColumns * kSwapB;
const uint kChunksA = (kDepth * (1 - kSwapA) + kTileRows * kSwapA) / 8;
const uint kChunksB = (kTileColumns * (1 - kSwapB) + kDepth * kSwapB) / B_VALUES;
// 16 bytes behind each line, so that lines do not begin in the same bank.
const uint kStrideA = kChunksA + 1;
const uint kStrideB = kChunksB + 8 / B_VALUES;
const uint kCountA = kLinesA * kChunksA;
const uint kCountB = kLinesB * kChunksB;

#define A_CHUNK uvec4
#if B_VALUES == 8
#define B_CHUNK uvec4
#else
#define B_CHUNK uint
#endif
#include "common/fetches.glsl"

// Two of each: while one is computed with, the other is filled.
shared uvec4 a_tile[2 * kLinesA * kStrideA];
shared B_CHUNK b_tile[2 * kLinesB * kStrideB];
#ifdef PER_ELEMENT
float finish_element(const in uint row, const in uint column, const in float sum, const in uint row0,
                     const in uint column0) {
  finish(row0 + row, column0 + column, sum);
  return sum;
}
#else
shared float stage[kDown * kAcross * kM * kN];
#endif

uint pack(float16_t low, float16_t high) { return packFloat2x16(f16vec2(low, high)); }

// Elements `step` apart, of which `count` are there.
uvec4 fetch_8(Reals x, uint at, uint step, int count) {
  float16_t values[8];
  [[unroll]] for (int i = 0; i < 8; ++i) values[i] = i < count ? x.at[at + i * step] : float16_t(0.0);
  return uvec4(pack(values[0], values[1]), pack(values[2], values[3]), pack(values[4], values[5]),
               pack(values[6], values[7]));
}

// 8 elements side by side that begin at a multiple of 8.
uvec4 fetch_vector(uvec2 address, uint at) { return Quads(address).at[at / 8]; }

void store(uint a0, uint b0) {
  [[unroll]] for (uint i = 0; i < kFetchesA; ++i) {
    const uint t = gl_LocalInvocationID.x + i * kInvocations;
    if (THERE(i, t, kCountA)) a_tile[a0 + t / kChunksA * kStrideA + t % kChunksA] = a_next[i];
  }
  [[unroll]] for (uint i = 0; i < kFetchesB; ++i) {
    const uint t = gl_LocalInvocationID.x + i * kInvocations;
    if (THERE(i, t, kCountB)) b_tile[b0 + t / kChunksB * kStrideB + t % kChunksB] = b_next[i];
  }
}

// Adds up steps of k from `begin` to `end`, which is the last one or lies a multiple of kDepth behind it.
void multiply(uint begin, uint end) {
  coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> sums[kRows * kColumns];
  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i)
    sums[i] = coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(0.0);
  const uint down = gl_SubgroupID / kAcross, across = gl_SubgroupID % kAcross;
  fetch(begin);
  uint a0 = 0, b0 = 0;
  for (uint k0 = begin; k0 < end; k0 += kDepth) {
    store(a0, b0);
    barrier();
    if (k0 + kDepth < end) fetch(k0 + kDepth);
    [[unroll]] for (uint d = 0; d < kDepth; d += kK) {
      coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a[kRows];
      [[unroll]] for (uint i = 0; i < kRows; ++i) {
        const uint row = (down * kRows + i) * kM;
        if (kSwapA == 0)
          coopMatLoad(a[i], a_tile, a0 + row * kStrideA + d / 8, kStrideA, gl_CooperativeMatrixLayoutRowMajor);
        else
          coopMatLoad(a[i], a_tile, a0 + d * kStrideA + row / 8, kStrideA, gl_CooperativeMatrixLayoutColumnMajor);
      }
      [[unroll]] for (uint j = 0; j < kColumns; ++j) {
        const uint column = (across * kColumns + j) * kN;
        coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
        if (kSwapB == 0)
          coopMatLoad(b, b_tile, b0 + d * kStrideB + column / B_VALUES, kStrideB, gl_CooperativeMatrixLayoutRowMajor);
        else
          coopMatLoad(b, b_tile, b0 + column * kStrideB + d / B_VALUES, kStrideB,
                      gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint i = 0; i < kRows; ++i)
          sums[i * kColumns + j] = coopMatMulAdd(a[i], b, sums[i * kColumns + j]);
      }
    }
    a0 = kLinesA * kStrideA - a0;
    b0 = kLinesB * kStrideB - b0;
  }
#ifdef PER_ELEMENT
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> done;
      coopMatPerElementNV(done, sums[i * kColumns + j], finish_element, (down * kRows + i) * kM,
                          (across * kColumns + j) * kN);
    }
  }
#else
  // Which invocation holds which element of a matrix is the driver's own affair: they go through memory.
  const uint own = gl_SubgroupID * kM * kN;
  [[unroll]] for (uint i = 0; i < kRows; ++i) {
    [[unroll]] for (uint j = 0; j < kColumns; ++j) {
      coopMatStore(sums[i * kColumns + j], stage, own, kN, gl_CooperativeMatrixLayoutRowMajor);
      subgroupBarrier();
      for (uint t = gl_SubgroupInvocationID; t < kM * kN; t += gl_SubgroupSize)
        finish((down * kRows + i) * kM + t / kN, (across * kColumns + j) * kN + t % kN, stage[own + t]);
      subgroupBarrier();
    }
  }
#endif
}

#endif
