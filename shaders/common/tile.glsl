// A tile of C = A B out of work-group memory by plain arithmetic: each invocation makes kRows x kColumns elements. The
// sizes are specialization constants (cpp/ops/gpu/tiles.h).
//
// The shader defines B_VALUES, how many elements of B are a chunk (4 or 1; of A it is always 4), and the functions of
// common/fetches.glsl, where a line is a row of A, or, with kSwapA, a step of k; of B a step of k, or, with kSwapB, a
// column.
#ifndef COMMON_TILE
#define COMMON_TILE

#include "common/base.glsl"

// Products and short sums of them may be float16; long sums never are.
#ifdef ARITHMETIC16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define FACTOR float16_t
#define FACTORS f16vec4
#else
#define FACTOR float
#define FACTORS vec4
#endif

layout(local_size_x_id = 3) in;
layout(constant_id = 3) const uint kInvocations = 64;
// Of an invocation, multiples of 4; invocations down and across the tile.
layout(constant_id = 4) const uint kRows = 4;
layout(constant_id = 5) const uint kColumns = 4;
layout(constant_id = 6) const uint kDown = 8;
layout(constant_id = 7) const uint kAcross = 8;
// Steps of k at a time.
layout(constant_id = 11) const uint kDepth = 16;
layout(constant_id = 12) const uint kSwapA = 0;
layout(constant_id = 13) const uint kSwapB = 0;

const uint kTileRows = kRows * kDown;
const uint kTileColumns = kColumns * kAcross;
// Both tiles lie by steps of k, 4 rows or columns side by side.
const uint kStrideA = kTileRows / 4 + 1;
const uint kStrideB = kTileColumns / 4 + 1;
const uint kChunksA = (kDepth * (1 - kSwapA) + kTileRows * kSwapA) / 4;
const uint kChunksB = (kTileColumns * (1 - kSwapB) + kDepth * kSwapB) / B_VALUES;
const uint kCountA = kDepth * kTileRows / 4;
const uint kCountB = kDepth * kTileColumns / B_VALUES;

#define A_CHUNK FACTORS
#if B_VALUES == 4
#define B_CHUNK FACTORS
#else
#define B_CHUNK FACTOR
#endif
#include "common/fetches.glsl"

// Two of each: while one is computed with, the other is filled.
shared FACTORS a_tile[2 * kDepth * kStrideA];
shared FACTORS b_tile[2 * kDepth * kStrideB];

// Elements `step` apart, of which `count` are there.
FACTORS fetch_4(Reals x, uint at, uint step, int count) {
  FACTORS values = FACTORS(0.0);
  [[unroll]] for (int i = 0; i < 4; ++i)
    if (i < count) values[i] = FACTOR(x.at[at + i * step]);
  return values;
}

// 4 elements side by side that begin at a multiple of 4 elements.
FACTORS fetch_vector(uvec2 address, uint at) {
#ifdef FLOAT16
  const uvec2 words = Pairs(address).at[at / 4];
  return FACTORS(vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y)));
#else
  return uintBitsToFloat(Quads(address).at[at / 4]);
#endif
}

void store(uint a0, uint b0) {
  [[unroll]] for (uint i = 0; i < kFetchesA; ++i) {
    const uint t = gl_LocalInvocationID.x + i * kInvocations, line = t / kChunksA, chunk = t % kChunksA;
    if (!THERE(i, t, kCountA)) break;
    if (kSwapA == 1) {
      a_tile[a0 + line * kStrideA + chunk] = a_next[i];
    } else {
      [[unroll]] for (uint j = 0; j < 4; ++j)
        a_tile[a0 + (4 * chunk + j) * kStrideA + line / 4][line % 4] = a_next[i][j];
    }
  }
  [[unroll]] for (uint i = 0; i < kFetchesB; ++i) {
    const uint t = gl_LocalInvocationID.x + i * kInvocations, line = t / kChunksB, chunk = t % kChunksB;
    if (!THERE(i, t, kCountB)) break;
#if B_VALUES == 4
    if (kSwapB == 0) {
      b_tile[b0 + line * kStrideB + chunk] = b_next[i];
    } else {
      [[unroll]] for (uint j = 0; j < 4; ++j)
        b_tile[b0 + (4 * chunk + j) * kStrideB + line / 4][line % 4] = b_next[i][j];
    }
#else
    b_tile[b0 + line * kStrideB + chunk / 4][chunk % 4] = b_next[i];
#endif
  }
}

// Adds up steps of k from `begin` to `end`, which is the last one or lies a multiple of kDepth behind it.
void multiply(uint begin, uint end) {
  const uint tx = gl_LocalInvocationID.x % kAcross, ty = gl_LocalInvocationID.x / kAcross;
  float sums[kRows * kColumns];
  [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) sums[i] = 0.0;
  fetch(begin);
  uint a0 = 0, b0 = 0;
  for (uint k0 = begin; k0 < end; k0 += kDepth) {
    store(a0, b0);
    barrier();
    if (k0 + kDepth < end) fetch(k0 + kDepth);
#ifdef ARITHMETIC16
    FACTOR part[kRows * kColumns];
    [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) part[i] = FACTOR(0.0);
#define PART part
#else
#define PART sums
#endif
    for (uint d = 0; d < kDepth; ++d) {
      FACTORS av[kRows / 4], bv[kColumns / 4];
      [[unroll]] for (uint i = 0; i < kRows / 4; ++i) av[i] = a_tile[a0 + d * kStrideA + i * kDown + ty];
      [[unroll]] for (uint j = 0; j < kColumns / 4; ++j) bv[j] = b_tile[b0 + d * kStrideB + j * kAcross + tx];
      [[unroll]] for (uint i = 0; i < kRows; ++i)
        [[unroll]] for (uint j = 0; j < kColumns; ++j)
          PART[i * kColumns + j] = fma(av[i / 4][i % 4], bv[j / 4][j % 4], PART[i * kColumns + j]);
    }
#ifdef ARITHMETIC16
    [[unroll]] for (uint i = 0; i < kRows * kColumns; ++i) sums[i] += float(part[i]);
#endif
    a0 = kDepth * kStrideA - a0;
    b0 = kDepth * kStrideB - b0;
  }
  [[unroll]] for (uint i = 0; i < kRows; ++i)
    [[unroll]] for (uint j = 0; j < kColumns; ++j)
      finish((i / 4 * kDown + ty) * 4 + i % 4, (j / 4 * kAcross + tx) * 4 + j % 4, sums[i * kColumns + j]);
}

#endif
