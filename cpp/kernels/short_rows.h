#pragma once

#include <cstdint>

namespace fastort::kernels {

// Rows that are shorter than some vectors: as many rows as a vector has lanes are worked on side by side.
constexpr int64_t kMostShortRow = 24;

// The place of the first largest number of each of `rows` rows of `width` numbers, one behind the other. A NaN is
// largest where it comes first.
void argmax_short_rows(const float* x, int64_t rows, int64_t width, int32_t* places);
// Softmax of the same rows in place, and their places where asked for (or nullptr).
void softmax_short_rows(float* x, int64_t rows, int64_t width, int32_t* places);

}  // namespace fastort::kernels
