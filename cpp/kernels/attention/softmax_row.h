#pragma once

#include <cstdint>

namespace fastort::kernels {

// row[i] = cap * tanh(row[i] / cap)
void softcap_row(float* row, int64_t count, float cap);
// row[i] += bias[i]
void add_row(float* row, const float* bias, int64_t count);
// row[i] = e^(row[i] - max), added to `sum`; `bias` (may be null) is added first. Returns the maximum; where it is
// -inf, the row becomes zeros (and NaN).
float exp_row(float* row, const float* bias, int64_t count, float& sum);
// A row of scores of which the first `count` take part; those of them that `bias` (may be null) has are added to it.
struct ScoreRow {
  float* scores;
  const float* bias;
  int64_t count;
  float most, sum;  // results
};
// e^(row[i] - max) as exp_row has it, but for a common factor near 1 in each row, for many rows, with zeros from
// `count` to `end`. The rows have memory for a multiple of kScoreStep scores from there on, which is overwritten.
void exp_rows(ScoreRow* rows, int64_t count, int64_t end);
constexpr int64_t kScoreStep = 16;
// e^(score - most) with the same factor.
float exp_beside(float most, float score);
// dst[i] = taken[i] ? 0 : -inf
void mask_floats(const bool* taken, int64_t count, float* dst);

}  // namespace fastort::kernels
