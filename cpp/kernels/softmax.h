#pragma once

#include <cstdint>

#include "base/parallel.h"

namespace fastort::kernels {

// Softmax, or its logarithm, over the middle of [outer, n, inner]. `src` and `dst` may be equal.
void softmax(const float* src, float* dst, int64_t outer, int64_t n, int64_t inner, bool log, const Parallel& parallel);
void softmax(const double* src, double* dst, int64_t outer, int64_t n, int64_t inner, bool log,
             const Parallel& parallel);

}  // namespace fastort::kernels
