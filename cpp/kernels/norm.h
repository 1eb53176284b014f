#pragma once

#include <cstdint>

#include "base/parallel.h"

namespace fastort::kernels {

// Rows of `n` contiguous elements, each brought to mean 0 and variance 1 (or, with `rms`, divided by its root mean
// square), then times `scale` plus `bias`. The variance is computed from the differences to the mean.
template <class T>
struct RowNorm {
  const T* src = nullptr;
  const T* scale = nullptr;  // [n], or nullptr
  const T* bias = nullptr;   // [n], or nullptr
  T* dst = nullptr;          // may be `src`
  T* mean = nullptr;         // [rows], or nullptr
  T* inv_std = nullptr;      // [rows], or nullptr
  int64_t rows = 0;
  int64_t n = 0;
  T epsilon = 0;
  bool rms = false;
};
void normalize_rows(const RowNorm<float>& norm, const Parallel& parallel);
void normalize_rows(const RowNorm<double>& norm, const Parallel& parallel);

// sum[i] = a[i] + b[i % b_period] + bias[i % bias_period]; `bias` may be nullptr.
void add_rows(const float* a, const float* b, int64_t b_period, const float* bias, int64_t bias_period, float* sum,
              int64_t count, const Parallel& parallel);
void add_rows(const double* a, const double* b, int64_t b_period, const double* bias, int64_t bias_period, double* sum,
              int64_t count, const Parallel& parallel);

// Mean and variance (of the population) of n contiguous elements.
struct Moments {
  double mean;
  double variance;
};
Moments moments(const float* src, int64_t n);
Moments moments(const double* src, int64_t n);

// dst = (src - mean) * scale + bias over n elements with the same three numbers.
void affine(const float* src, float* dst, int64_t n, float mean, float scale, float bias);
void affine(const double* src, double* dst, int64_t n, double mean, double scale, double bias);

// The same with vectors of `width` numbers that repeat in each of `rows` rows.
void affine_rows(const float* src, float* dst, int64_t rows, int64_t width, const float* mean, const float* scale,
                 const float* bias);

}  // namespace fastort::kernels
