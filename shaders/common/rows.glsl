// Reductions over rows of [outer, n, inner]: a group of 64 invocations takes one row, where rows lie dense, or 64 rows
// side by side, one an invocation, where they do not.
#ifndef COMMON_ROWS
#define COMMON_ROWS

#include "common/base.glsl"

// 1: the rows lie dense (inner is 1).
layout(constant_id = 0) const uint kDense = 1;

shared float row_values[GROUP];

// The result of a commutative `combine` over the group's values, for every invocation of it. The macro leaves a
// barrier behind, so that it can be used again at once.
#define ACROSS_GROUP(value, combine)                                                     \
  if (kDense == 1) {                                                                     \
    const uint lane = gl_LocalInvocationID.x;                                            \
    row_values[lane] = value;                                                            \
    barrier();                                                                           \
    for (uint width = GROUP / 2; width > 0; width /= 2) {                                \
      if (lane < width) row_values[lane] = combine(row_values[lane], row_values[lane + width]); \
      barrier();                                                                         \
    }                                                                                    \
    value = row_values[0];                                                               \
    barrier();                                                                           \
  }

float add(float x, float y) { return x + y; }

struct Row {
  uint base;   // of element 0
  uint first;  // that this invocation takes
  uint next;   // from one to the next that it takes
  uint step;   // in memory from one element to the next
  bool valid;
};

Row row_of(uint rows, uint n, uint inner) {
  Row row;
  if (kDense == 1) {
    const uint number = group_number();
    row.valid = number < rows;
    row.base = min(number, rows - 1) * n;
    row.first = gl_LocalInvocationID.x;
    row.next = GROUP;
    row.step = 1;
  } else {
    const uint number = item_number();
    row.valid = number < rows;
    const uint at = min(number, rows - 1);
    row.base = at / inner * n * inner + at % inner;
    row.first = 0;
    row.next = 1;
    row.step = inner;
  }
  return row;
}

// Whether this invocation writes what the row has one of, and where.
bool writes(Row row) { return row.valid && (kDense == 0 || gl_LocalInvocationID.x == 0); }
uint row_number() { return kDense == 1 ? group_number() : item_number(); }

#endif
