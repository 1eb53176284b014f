// Reductions of float32 over one run of dimensions: [outer, n, inner] to [outer, inner].
// operands: result, source
// float16
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common/math.glsl"
#include "common/rows.glsl"

layout(local_size_x = GROUP) in;
// In the order of kernels::ReduceOp: Sum, Mean, Max, Min, Prod, L1, L2, LogSum, LogSumExp, SumSquare.
layout(constant_id = 1) const uint kOp = 0;
PUSH(uint rows; uint n; uint inner;);

const uint kSum = 0, kMean = 1, kMax = 2, kMin = 3, kProd = 4, kL1 = 5, kL2 = 6, kLogSum = 7, kLogSumExp = 8,
           kSumSquare = 9;

float multiply(float x, float y) { return x * y; }

void main() {
  Reals source = Reals(ADDRESS(1));
  Row row = row_of(push.rows, push.n, push.inner);
  float peak = 0.0;
  if (kOp == kLogSumExp) {
    peak = -INFINITY;
    for (uint i = row.first; i < push.n; i += row.next) peak = larger(float(source.at[row.base + i * row.step]), peak);
    ACROSS_GROUP(peak, larger)
    if (isinf(peak)) peak = 0.0;
  }
  float result = kOp == kMax ? -INFINITY : kOp == kMin ? INFINITY : kOp == kProd ? 1.0 : 0.0;
  for (uint i = row.first; i < push.n; i += row.next) {
    const float x = float(source.at[row.base + i * row.step]);
    if (kOp == kMax)
      result = larger(x, result);
    else if (kOp == kMin)
      result = smaller(x, result);
    else if (kOp == kProd)
      result *= x;
    else if (kOp == kL1)
      result += abs(x);
    else if (kOp == kL2 || kOp == kSumSquare)
      result = fma(x, x, result);
    else if (kOp == kLogSumExp)
      result += exponential(x - peak);
    else
      result += x;
  }
  if (kOp == kMax) {
    ACROSS_GROUP(result, larger)
  } else if (kOp == kMin) {
    ACROSS_GROUP(result, smaller)
  } else if (kOp == kProd) {
    ACROSS_GROUP(result, multiply)
  } else {
    ACROSS_GROUP(result, add)
  }
  if (kOp == kMean) result /= float(push.n);
  if (kOp == kL2) result = sqrt(result);
  if (kOp == kLogSum) result = logarithm(result);
  if (kOp == kLogSumExp) result = logarithm(result) + peak;
  if (writes(row)) Reals(ADDRESS(0)).at[row_number()] = REAL(result);
}
