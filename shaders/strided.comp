// Copies elements of 1 to 16 bytes between two tensors that are walked by strides: transpositions, slices,
// concatenations, expansions. What is narrower than 4 bytes takes a device that stores it.
// operands: destination, source, table (the dimensions, the strides of the source, the strides of the destination)
// variant 1: -DELEMENT=uint8_t -DBYTES=1
// variant 2: -DELEMENT=uint16_t -DBYTES=2
// variant 4: -DELEMENT=uint -DBYTES=4
// variant 8: -DELEMENT=uvec2 -DBYTES=8
// variant 16: -DELEMENT=uvec4 -DBYTES=16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#if BYTES == 1
#extension GL_EXT_shader_8bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int8 : require
#elif BYTES == 2
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#endif

layout(buffer_reference, scalar, buffer_reference_align = BYTES) buffer Elements {
  ELEMENT at[];
};

layout(local_size_x = GROUP) in;
layout(constant_id = 0) const uint kRank = 1;
PUSH(uint count; uint from; uint to;);

void main() {
  const uint item = item_number();
  if (item >= push.count) return;
  Words table = Words(ADDRESS(2));
  uint rest = item, from = push.from, to = push.to;
  for (uint d = kRank; d-- > 0;) {
    const uint size = table.at[d], next = rest / size, index = rest - next * size;
    // Strides may be negative: two's complement adds up all the same.
    from += index * table.at[kRank + d];
    to += index * table.at[2 * kRank + d];
    rest = next;
  }
  Elements(ADDRESS(0)).at[to] = Elements(ADDRESS(1)).at[from];
}
