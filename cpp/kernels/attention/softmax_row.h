#pragma once

#include <cstdint>

namespace fastort::kernels {

// row[i] = cap * tanh(row[i] / cap)
void softcap_row(float* row, int64_t count, float cap);
// row[i] += bias[i]
void add_row(float* row, const float* bias, int64_t count);
// row[i] = e^(row[i] - max), added to `sum`; `bias` (may be null) is added first. Returns the maximum.
float exp_row(float* row, const float* bias, int64_t count, float& sum);
// row[i] *= factor
void scale_row(float* row, int64_t count, float factor);

}  // namespace fastort::kernels
