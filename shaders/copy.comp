// Copies 16 bytes an invocation: between the staging memory and the arena.
// operands: source, destination
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"

layout(local_size_x = GROUP) in;
PUSH(uint count;);

void main() {
  const uint i = item_number();
  if (i < push.count) Quads(ADDRESS(1)).at[i] = Quads(ADDRESS(0)).at[i];
}
