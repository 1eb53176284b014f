// What a scattered element becomes.
#ifndef COMMON_SCATTER
#define COMMON_SCATTER

#include "common/typed.glsl"

// In the order of kernels::Reduction: none, add, mul, max, min.
layout(constant_id = 2) const uint kReduction = 0;

void scatter(Elements result, uint to, ELEMENT update) {
#ifdef NUMBER
  if (kReduction != 0) {
    const NUMBER x = NUMBER(result.at[to]), y = NUMBER(update);
    update = ELEMENT(kReduction == 1   ? x + y
                     : kReduction == 2 ? x * y
                     : kReduction == 3 ? larger_of(x, y)
                                       : smaller_of(x, y));
  }
#endif
  result.at[to] = update;
}

#endif
