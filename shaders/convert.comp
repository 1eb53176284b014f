// Between float32 and float16, element by element: where a node computes in the other type than its neighbours.
// operands: result, source
// variant to_half: -DTO_HALF
// variant to_float: -DTO_FLOAT
#version 460
#extension GL_GOOGLE_include_directive : require
#define FLOAT16
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count;);

void main() {
  const uint begin = group_number() * GROUP * 4 + gl_LocalInvocationID.x;
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    const uint i = begin + k * GROUP;
    if (i >= push.count) return;
#ifdef TO_HALF
    Reals(ADDRESS(0)).at[i] = REAL(Floats(ADDRESS(1)).at[i]);
#else
    Floats(ADDRESS(0)).at[i] = float(Reals(ADDRESS(1)).at[i]);
#endif
  }
}
