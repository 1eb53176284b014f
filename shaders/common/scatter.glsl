// What a scattered element becomes.
#ifndef COMMON_SCATTER
#define COMMON_SCATTER

#include "common/typed.glsl"

// In the order of kernels::Reduction: none, add, mul, max, min.
layout(constant_id = 2) const uint kReduction = 0;

// Invocations may change the same element: only where elements are words.
layout(constant_id = 3) const uint kAtomic = 0;

#ifdef NUMBER
ELEMENT reduced(ELEMENT old, ELEMENT update) {
  const NUMBER x = NUMBER(old), y = NUMBER(update);
  return ELEMENT(kReduction == 1   ? x + y
                 : kReduction == 2 ? x * y
                 : kReduction == 3 ? larger_of(x, y)
                                   : smaller_of(x, y));
}

#if defined(T_F32)
#define WORD_OF(x) floatBitsToUint(x)
#define OF_WORD(x) uintBitsToFloat(x)
#elif defined(T_I32) || defined(T_U32)
#define WORD_OF(x) uint(x)
#define OF_WORD(x) ELEMENT(x)
#endif
#endif

// Of a result at an address.
void scatter(uvec2 result, uint to, ELEMENT update) {
#ifdef WORD_OF
  if (kAtomic == 1) {
    Words words = Words(result);
    uint old = words.at[to];
    for (;;) {
      const uint next = WORD_OF(reduced(OF_WORD(old), update));
      const uint seen = next == old ? old : atomicCompSwap(words.at[to], old, next);
      if (seen == old) return;
      old = seen;
    }
  }
#endif
#ifdef NUMBER
  if (kReduction != 0) update = reduced(Elements(result).at[to], update);
#endif
  Elements(result).at[to] = update;
}

#endif
