// Indices of int32 or int64 that come from the run. What is out of range is to be reported, and reads or writes nothing.
#ifndef COMMON_INDEX
#define COMMON_INDEX

#include "common/base.glsl"

// Words of an index: 1 for int32, 2 for int64.
layout(constant_id = 0) const uint kIndexWords = 1;

// Index `which` of an array counted from the front of a dimension of `size`, or -1 where it is outside [-size, size).
int index_at(Integers indices, uint which, uint size) {
  int index = indices.at[which * kIndexWords];
  // The upper half of a number that fits is its sign.
  const bool fits = kIndexWords == 1 || indices.at[which * kIndexWords + kIndexWords - 1] == index >> 31;
  if (index < 0) index += int(size);
  return fits && index >= 0 && index < int(size) ? index : -1;
}

#endif
