// Operands that broadcast: offsets along strides of a table, as cpp/ops/gpu/nest.h writes it.
#ifndef COMMON_STRIDED
#define COMMON_STRIDED

#include "common/base.glsl"

// Dimensions that the table has; 0 where no operand needs it.
layout(constant_id = 0) const uint kRank = 0;
// How each operand is read, two bits each: 0 one element, 1 the element of the result's number, 2 by strides.
layout(constant_id = 1) const uint kModes = 0;

// Where operand `number` has what belongs to element `element` of the result; the table is the dimensions, then the
// strides of each operand, from word `begin` on.
uint offset_of(Words table, uint begin, uint number, uint element) {
  const uint mode = (kModes >> (2 * number)) & 3;
  if (mode == 0) return 0;
  if (mode == 1) return element;
  const uint strides = begin + kRank * (1 + number);
  uint offset = 0;
  for (uint d = kRank; d-- > 0;) {
    const uint size = table.at[begin + d], rest = element / size;
    offset += (element - rest * size) * table.at[strides + d];
    element = rest;
  }
  return offset;
}

// Bytes are read out of words and written four at a time: no device lacks that.
uint byte_at(Words bytes, uint i) { return (bytes.at[i / 4] >> (8 * (i % 4))) & 0xff; }

#endif
