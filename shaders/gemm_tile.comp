// C = activation(alpha A B + beta addend + residual), a batch of matrices along z, by tiles in work-group memory.
// operands: as gemm.comp, sums (see common/gemm.glsl)
// float16 arithmetic
#version 460
#extension GL_GOOGLE_include_directive : require
#define B_VALUES 4
#include "common/epilogue.glsl"
#include "common/tile.glsl"
#define FETCH fetch_4
#define FETCH_VECTOR fetch_vector
#include "common/gemm_tile.glsl"
