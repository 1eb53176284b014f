// Determinants by elimination with partial pivoting: a group takes a matrix.
// operands: result, matrices, room for their elimination
// variant double: -DWIDE=double -DPLACES=8
// variant float: -DWIDE=float -DPLACES=4
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(buffer_reference, scalar, buffer_reference_align = PLACES) buffer Wide {
  WIDE at[];
};

layout(local_size_x = GROUP) in;
PUSH(uint matrices; uint n;);

// What the group wrote is seen by all of it.
void meet() {
  memoryBarrierBuffer();
  barrier();
}

void main() {
  const uint matrix = group_number(), lane = gl_LocalInvocationID.x;
  if (matrix >= push.matrices) return;
  Wide a = Wide(ADDRESS(2));
  const uint n = push.n, base = matrix * n * n;
  for (uint i = lane; i < n * n; i += GROUP) a.at[base + i] = WIDE(float(Reals(ADDRESS(1)).at[base + i]));
  meet();
  WIDE product = WIDE(1.0);
  for (uint step = 0; step < n; ++step) {
    uint best = step;
    for (uint row = step + 1; row < n; ++row)
      if (abs(a.at[base + row * n + step]) > abs(a.at[base + best * n + step])) best = row;
    const WIDE diagonal = a.at[base + best * n + step];
    product *= best == step ? diagonal : -diagonal;
    if (diagonal == WIDE(0.0)) break;
    meet();
    if (best != step) {
      for (uint column = step + lane; column < n; column += GROUP) {
        const WIDE other = a.at[base + best * n + column];
        a.at[base + best * n + column] = a.at[base + step * n + column];
        a.at[base + step * n + column] = other;
      }
    }
    meet();
    const uint width = n - step - 1;
    for (uint i = lane; i < width * width; i += GROUP) {
      const uint row = step + 1 + i / width, column = step + 1 + i % width;
      a.at[base + row * n + column] -= a.at[base + row * n + step] / diagonal * a.at[base + step * n + column];
    }
    meet();
  }
  if (lane == 0) Reals(ADDRESS(0)).at[matrix] = REAL(float(product));
}
