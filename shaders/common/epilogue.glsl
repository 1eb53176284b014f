// What follows a product: scale, addend, residual and activation, chosen by specialization constants 0 to 2 of every
// shader that includes this. The push block must have `alpha`, `beta`, `act_a` and `act_b`.
#ifndef COMMON_EPILOGUE
#define COMMON_EPILOGUE

#include "common/base.glsl"
#include "common/math.glsl"
#include "functions.glsl"

// 0 none, 1 a number, 2 a number for each column, 3 for each row, 4 for each element.
layout(constant_id = 0) const uint kAddend = 0;
layout(constant_id = 1) const uint kResidual = 0;
// The activation's number among the unary functions; 0xffff for none.
layout(constant_id = 2) const uint kActivation = 0xffff;

float epilogue(float sum, Reals addend, uint row, uint column, uint element, Reals residual, float alpha, float beta,
               float act_a, float act_b) {
  float y = alpha * sum;
  if (kAddend == 1) y += beta * float(addend.at[0]);
  if (kAddend == 2) y += beta * float(addend.at[column]);
  if (kAddend == 3) y += beta * float(addend.at[row]);
  if (kAddend == 4) y += beta * float(addend.at[element]);
  if (kResidual != 0) y += float(residual.at[element]);
  return kActivation == 0xffff ? y : unary(kActivation, y, act_a, act_b);
}

#endif
