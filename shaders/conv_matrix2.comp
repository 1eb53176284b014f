// The same as conv_matrix.comp, where elements of a cooperative matrix are finished in the registers that hold them.
// operands: as conv_tile.comp
// needs cooperative_matrix2
// variant f16: -DFLOAT16
#version 460
#extension GL_GOOGLE_include_directive : require
#define PER_ELEMENT
#define B_VALUES 2
#include "common/epilogue.glsl"
#include "common/matrix.glsl"
#define A_VALUES 8
#define FACTOR float16_t
#define FETCH fetch_8
#include "common/conv_tile.glsl"

// The same for all that an invocation fetches: the tile's pairs of columns divide the group.
Column own[2];

uint fetch_b(uint line, uint chunk, uint k0) {
  return pack(element_of(own[0], k0 + line), element_of(own[1], k0 + line));
}

void main() {
  const uint pair = gl_LocalInvocationID.x % (kTileColumns / 2);
  own[0] = column_of(2 * pair);
  own[1] = column_of(2 * pair + 1);
  multiply_part();
}
