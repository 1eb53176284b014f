// C = activation(alpha A B + beta addend + residual) for float16 matrices, a batch along z, by cooperative matrices.
// operands: as gemm_tile.comp
// needs cooperative_matrix
// variant f16: -DFLOAT16
#version 460
#extension GL_GOOGLE_include_directive : require
#define B_VALUES 8
#include "common/epilogue.glsl"
#include "common/matrix.glsl"
#define FETCH fetch_8
#define FETCH_VECTOR fetch_vector
#include "common/gemm_tile.glsl"
