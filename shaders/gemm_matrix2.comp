// The same as gemm_matrix.comp, where elements of a cooperative matrix are finished in the registers that hold them.
// operands: as gemm_tile.comp
// needs cooperative_matrix2
// variant f16: -DFLOAT16
#version 460
#extension GL_GOOGLE_include_directive : require
#define PER_ELEMENT
#define B_VALUES 8
#include "common/epilogue.glsl"
#include "common/matrix.glsl"
#define FETCH fetch_8
#define FETCH_VECTOR fetch_vector
#include "common/gemm_tile.glsl"
