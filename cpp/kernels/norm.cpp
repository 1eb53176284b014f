#include "kernels/norm.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sum of f(x) over n elements; partial sums of 4096 elements are added in double.
template <class F>
HWY_INLINE double SumOf(const float* src, int64_t n, F&& f) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  double total = 0;
  for (int64_t block = 0; block < n; block += 4096) {
    const int64_t end = std::min(n, block + 4096);
    auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
    int64_t i = block;
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      sum0 = hn::Add(sum0, f(hn::LoadU(d, src + i)));
      sum1 = hn::Add(sum1, f(hn::LoadU(d, src + i + lanes)));
      sum2 = hn::Add(sum2, f(hn::LoadU(d, src + i + 2 * lanes)));
      sum3 = hn::Add(sum3, f(hn::LoadU(d, src + i + 3 * lanes)));
    }
    for (; i + lanes <= end; i += lanes) sum0 = hn::Add(sum0, f(hn::LoadU(d, src + i)));
    if (i < end) {
      const size_t left = static_cast<size_t>(end - i);
      sum1 = hn::Add(sum1, hn::IfThenElseZero(hn::FirstN(d, left), f(hn::LoadN(d, src + i, left))));
    }
    total += static_cast<double>(hn::ReduceSum(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
  }
  return total;
}

double SumF32(const float* src, int64_t n) {
  return SumOf(src, n, [](auto x) HWY_ATTR { return x; });
}

double SumOfSquaresF32(const float* src, int64_t n, float mean) {
  const auto centre = hn::Set(hn::ScalableTag<float>(), mean);
  return SumOf(src, n, [centre](auto x) HWY_ATTR {
    const auto difference = hn::Sub(x, centre);
    return hn::Mul(difference, difference);
  });
}

// dst = (src - mean) * factor * scale[i] + bias[i].
template <bool kScale, bool kBias>
HWY_INLINE void WriteRow(const float* src, float* dst, int64_t n, float mean, float factor, const float* scale,
                         const float* bias) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto centre = hn::Set(d, mean), f = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto y = hn::Mul(hn::Sub(hn::LoadU(d, src + i), centre), f);
    if constexpr (kBias)
      y = hn::MulAdd(y, hn::LoadU(d, scale + i), hn::LoadU(d, bias + i));
    else if constexpr (kScale)
      y = hn::Mul(y, hn::LoadU(d, scale + i));
    hn::StoreU(y, d, dst + i);
  }
  for (; i < n; ++i) {
    float y = (src[i] - mean) * factor;
    if constexpr (kScale) y *= scale[i];
    if constexpr (kBias) y += bias[i];
    dst[i] = y;
  }
}

void WriteRowF32(const float* src, float* dst, int64_t n, float mean, float factor, const float* scale,
                 const float* bias) {
  if (scale && bias) return WriteRow<true, true>(src, dst, n, mean, factor, scale, bias);
  if (scale) return WriteRow<true, false>(src, dst, n, mean, factor, scale, bias);
  WriteRow<false, false>(src, dst, n, mean, factor, scale, bias);
}

void AffineF32(const float* src, float* dst, int64_t n, float mean, float scale, float bias) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto m = hn::Set(d, mean), s = hn::Set(d, scale), b = hn::Set(d, bias);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::MulAdd(hn::Sub(hn::LoadU(d, src + i), m), s, b), d, dst + i);
  for (; i < n; ++i) dst[i] = (src[i] - mean) * scale + bias;
}

void AffineRowsF32(const float* src, float* dst, int64_t rows, int64_t width, const float* mean, const float* scale,
                   const float* bias) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (width % lanes == 0 && width <= 2 * lanes) {  // blocks of channels: the vectors stay in registers
    for (int64_t k = 0; k < width; k += lanes) {
      const auto m = hn::LoadU(d, mean + k), s = hn::LoadU(d, scale + k), b = hn::LoadU(d, bias + k);
      for (int64_t row = 0; row < rows; ++row)
        hn::StoreU(hn::MulAdd(hn::Sub(hn::LoadU(d, src + row * width + k), m), s, b), d, dst + row * width + k);
    }
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = src + row * width;
    float* y = dst + row * width;
    int64_t i = 0;
    for (; i + lanes <= width; i += lanes) {
      const auto difference = hn::Sub(hn::LoadU(d, x + i), hn::LoadU(d, mean + i));
      hn::StoreU(hn::MulAdd(difference, hn::LoadU(d, scale + i), hn::LoadU(d, bias + i)), d, y + i);
    }
    for (; i < width; ++i) y[i] = (x[i] - mean[i]) * scale[i] + bias[i];
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(SumF32);
HWY_EXPORT(SumOfSquaresF32);
HWY_EXPORT(WriteRowF32);
HWY_EXPORT(AffineF32);
HWY_EXPORT(AffineRowsF32);

namespace {

double sum(const float* src, int64_t n) { return HWY_DYNAMIC_DISPATCH(SumF32)(src, n); }
double sum(const double* src, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += src[i];
  return total;
}

double sum_of_squares(const float* src, int64_t n, double mean) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquaresF32)(src, n, static_cast<float>(mean));
}
double sum_of_squares(const double* src, int64_t n, double mean) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += (src[i] - mean) * (src[i] - mean);
  return total;
}

void write_row(const float* src, float* dst, int64_t n, double mean, double factor, const float* scale,
               const float* bias) {
  HWY_DYNAMIC_DISPATCH(WriteRowF32)
  (src, dst, n, static_cast<float>(mean), static_cast<float>(factor), scale, bias);
}
void write_row(const double* src, double* dst, int64_t n, double mean, double factor, const double* scale,
               const double* bias) {
  for (int64_t i = 0; i < n; ++i) dst[i] = (src[i] - mean) * factor * (scale ? scale[i] : 1) + (bias ? bias[i] : 0);
}

template <class T>
void normalize(const RowNorm<T>& norm, const Parallel& parallel) {
  if (norm.n == 0) return;
  // A bias without a scale has no loop of its own: callers give both or a scale alone.
  parallel.range(norm.rows, std::max<int64_t>(1, 8192 / norm.n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* x = norm.src + row * norm.n;
      const double n = static_cast<double>(norm.n);
      const double mean = norm.rms ? 0.0 : sum(x, norm.n) / n;
      const double variance = sum_of_squares(x, norm.n, mean) / n;
      const double factor = 1 / std::sqrt(variance + static_cast<double>(norm.epsilon));
      write_row(x, norm.dst + row * norm.n, norm.n, mean, factor, norm.scale, norm.bias);
      if (norm.mean) norm.mean[row] = static_cast<T>(mean);
      if (norm.inv_std) norm.inv_std[row] = static_cast<T>(factor);
    }
  });
}

template <class T>
Moments moments_of(const T* src, int64_t n) {
  const double mean = sum(src, n) / static_cast<double>(n);
  return {mean, sum_of_squares(src, n, mean) / static_cast<double>(n)};
}

template <class T>
void add(const T* a, const T* b, int64_t b_period, const T* bias, int64_t bias_period, T* total, int64_t count,
         const Parallel& parallel) {
  const int64_t step = bias ? std::min(b_period, bias_period) : b_period;
  parallel.range((count + step - 1) / step, std::max<int64_t>(1, 16384 / step), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * step;
      const int64_t n = std::min(step, count - at);
      const T* x = a + at;
      const T* y = b + at % b_period;
      const T* z = bias ? bias + at % bias_period : nullptr;
      T* to = total + at;
      if (z)
        for (int64_t i = 0; i < n; ++i) to[i] = x[i] + y[i] + z[i];
      else
        for (int64_t i = 0; i < n; ++i) to[i] = x[i] + y[i];
    }
  });
}

}  // namespace

void normalize_rows(const RowNorm<float>& norm, const Parallel& parallel) { normalize(norm, parallel); }
void normalize_rows(const RowNorm<double>& norm, const Parallel& parallel) { normalize(norm, parallel); }
Moments moments(const float* src, int64_t n) { return moments_of(src, n); }
Moments moments(const double* src, int64_t n) { return moments_of(src, n); }

void add_rows(const float* a, const float* b, int64_t b_period, const float* bias, int64_t bias_period, float* sum,
              int64_t count, const Parallel& parallel) {
  add(a, b, b_period, bias, bias_period, sum, count, parallel);
}
void add_rows(const double* a, const double* b, int64_t b_period, const double* bias, int64_t bias_period, double* sum,
              int64_t count, const Parallel& parallel) {
  add(a, b, b_period, bias, bias_period, sum, count, parallel);
}

void affine(const float* src, float* dst, int64_t n, float mean, float scale, float bias) {
  HWY_DYNAMIC_DISPATCH(AffineF32)(src, dst, n, mean, scale, bias);
}
void affine(const double* src, double* dst, int64_t n, double mean, double scale, double bias) {
  for (int64_t i = 0; i < n; ++i) dst[i] = (src[i] - mean) * scale + bias;
}
void affine_rows(const float* src, float* dst, int64_t rows, int64_t width, const float* mean, const float* scale,
                 const float* bias) {
  HWY_DYNAMIC_DISPATCH(AffineRowsF32)(src, dst, rows, width, mean, scale, bias);
}

}  // namespace fastort::kernels
#endif
