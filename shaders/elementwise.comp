// A straight-line program of elementwise functions over float32 (kernels/elementwise/chain.h), four elements an
// invocation. The program is a matter of specialization constants, so that the compiler sees plain arithmetic.
// operands: result, table, inputs
// variant 1: -DSTEPS=1
// variant 4: -DSTEPS=4
// variant 16: -DSTEPS=16
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/base.glsl"
#include "common/math.glsl"
#include "functions.glsl"

layout(local_size_x = GROUP) in;
// How each input is read, two bits each: 0 one element, 1 the element of the result's number, 2 by strides.
layout(constant_id = 0) const uint kModes = 0;
layout(constant_id = 1) const uint kInputs = 1;
layout(constant_id = 2) const uint kRank = 0;
layout(constant_id = 3) const uint kSteps = 1;
// A step: the function in 12 bits (256 and more: of two operands), then 4 bits each for where the result goes and where
// the operands come from: registers 0 to 7, inputs behind them.
layout(constant_id = 4) const uint kStep0 = 0;
#if STEPS >= 4
layout(constant_id = 5) const uint kStep1 = 0;
layout(constant_id = 6) const uint kStep2 = 0;
layout(constant_id = 7) const uint kStep3 = 0;
#endif
#if STEPS >= 16
layout(constant_id = 8) const uint kStep4 = 0;
layout(constant_id = 9) const uint kStep5 = 0;
layout(constant_id = 10) const uint kStep6 = 0;
layout(constant_id = 11) const uint kStep7 = 0;
layout(constant_id = 12) const uint kStep8 = 0;
layout(constant_id = 13) const uint kStep9 = 0;
layout(constant_id = 14) const uint kStep10 = 0;
layout(constant_id = 15) const uint kStep11 = 0;
layout(constant_id = 16) const uint kStep12 = 0;
layout(constant_id = 17) const uint kStep13 = 0;
layout(constant_id = 18) const uint kStep14 = 0;
layout(constant_id = 19) const uint kStep15 = 0;
#endif

PUSH(uint count;);

// Registers, then inputs.
float values[16];

// The table: two parameters a step, then the result's dimensions, then the strides of each input along them.
uint offset_of(Words table, uint input_number, uint element) {
  const uint mode = (kModes >> (2 * input_number)) & 3;
  if (mode == 0) return 0;
  if (mode == 1) return element;
  const uint dims = 2 * kSteps, strides = dims + kRank * (1 + input_number);
  uint offset = 0;
  for (uint d = kRank; d-- > 0;) {
    const uint size = table.at[dims + d];
    const uint rest = element / size;
    offset += (element - rest * size) * table.at[strides + d];
    element = rest;
  }
  return offset;
}

#define STEP(i)                                                                                     \
  if (i < kSteps) {                                                                                 \
    const float x = values[(kStep##i >> 16) & 15];                                                  \
    const uint function = kStep##i & 0xfff;                                                         \
    float y;                                                                                        \
    if (function >= 256)                                                                            \
      y = binary(function - 256, x, values[(kStep##i >> 20) & 15]);                                 \
    else                                                                                            \
      y = unary(function, x, uintBitsToFloat(table.at[2 * i]), uintBitsToFloat(table.at[2 * i + 1])); \
    values[(kStep##i >> 12) & 7] = y;                                                               \
    result = y;                                                                                     \
  }

void main() {
  const uint begin = item_number() * 4;
  Words table = Words(ADDRESS(1));
  for (uint k = 0; k < 4; ++k) {
    const uint element = begin + k;
    if (element >= push.count) return;
    [[unroll]] for (uint n = 0; n < 8; ++n) {
      if (n < kInputs) values[8 + n] = float(Reals(ADDRESS(2 + n)).at[offset_of(table, n, element)]);
    }
    float result = 0.0;
    STEP(0)
#if STEPS >= 4
    STEP(1)
    STEP(2)
    STEP(3)
#endif
#if STEPS >= 16
    STEP(4)
    STEP(5)
    STEP(6)
    STEP(7)
    STEP(8)
    STEP(9)
    STEP(10)
    STEP(11)
    STEP(12)
    STEP(13)
    STEP(14)
    STEP(15)
#endif
    Reals(ADDRESS(0)).at[element] = REAL(result);
  }
}
