// Convolution of one group over one or two spatial dimensions as a product by tiles in work-group memory, with bias,
// residual and activation behind it.
// operands: Y, X, W, bias, residual, sums (see common/conv_tile.glsl)
// float16 arithmetic
#version 460
#extension GL_GOOGLE_include_directive : require
#define B_VALUES 1
#include "common/epilogue.glsl"
#include "common/tile.glsl"
#define A_VALUES 4
#define FETCH fetch_4
#include "common/conv_tile.glsl"

// The same for all that an invocation fetches: the tile's columns divide the group.
Column own;

FACTOR fetch_b(uint line, uint chunk, uint k0) { return element_of(own, k0 + line); }

void main() {
  own = column_of(gl_LocalInvocationID.x % kTileColumns);
  multiply_part();
}
