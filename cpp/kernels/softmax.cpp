#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "base/pieces.h"
#include "hwy/cache_control.h"
#include "kernels/elementwise/exp-pair-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Of rows up to this length the exponentials wait in the first-level cache for their sum.
constexpr int64_t kShortRow = 2048;

// One row of contiguous elements. The row that will be read next, `ahead` elements further (0: none), and the one that
// is written next come from memory while the exponentials are computed.
void SoftmaxRow(const float* src, float* dst, int64_t n, bool log, int64_t ahead) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  V max0 = lowest, max1 = lowest, max2 = lowest, max3 = lowest;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    max0 = hn::Max(hn::LoadU(d, src + i), max0);
    max1 = hn::Max(hn::LoadU(d, src + i + lanes), max1);
    max2 = hn::Max(hn::LoadU(d, src + i + 2 * lanes), max2);
    max3 = hn::Max(hn::LoadU(d, src + i + 3 * lanes), max3);
  }
  for (; i < n; i += lanes)
    max0 = hn::Max(hn::LoadNOr(lowest, d, src + i, static_cast<size_t>(std::min(lanes, n - i))), max0);
  const float max = hn::ReduceMax(d, hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)));

  // NaN need not reach the maximum: it reaches the sum. Sums of 4096 exponentials are added up.
  HWY_ALIGN float scratch[kShortRow];
  float* const exps = n <= kShortRow ? scratch : dst;
  const V shift = hn::Set(d, max);
  float sum = 0;
  for (int64_t block = 0; block < n; block += 4096) {
    const int64_t end = std::min(n, block + 4096);
    V sum0 = hn::Zero(d), sum1 = hn::Zero(d);
    int64_t k = block;
    for (; k + 2 * lanes <= end; k += 2 * lanes) {
      hwy::Prefetch(src + k + ahead);
      hwy::Prefetch(dst + k);
      V e[2] = {hn::Sub(hn::LoadU(d, src + k), shift), hn::Sub(hn::LoadU(d, src + k + lanes), shift)};
      ExpsOfNegative(d, e);
      sum0 = hn::Add(sum0, e[0]);
      sum1 = hn::Add(sum1, e[1]);
      if (log) continue;
      hn::StoreU(e[0], d, exps + k);
      hn::StoreU(e[1], d, exps + k + lanes);
    }
    for (; k < end; k += lanes) {
      const size_t left = static_cast<size_t>(std::min(lanes, end - k));
      const V e = ExpLikePairs(d, hn::Sub(hn::LoadN(d, src + k, left), shift));
      sum0 = hn::Add(sum0, hn::IfThenElseZero(hn::FirstN(d, left), e));
      if (!log) hn::StoreN(e, d, exps + k, left);
    }
    sum += hn::ReduceSum(d, hn::Add(sum0, sum1));
  }
  const V factor = hn::Set(d, log ? std::log(sum) : 1.0f / sum);
  const float* from = log ? src : exps;
  auto result = [&](V x) HWY_ATTR __attribute__((always_inline)) {
    return log ? hn::Sub(hn::Sub(x, shift), factor) : hn::Mul(x, factor);
  };
  for (i = 0; i + 2 * lanes <= n; i += 2 * lanes) {
    const V y0 = result(hn::LoadU(d, from + i)), y1 = result(hn::LoadU(d, from + i + lanes));
    hn::StoreU(y0, d, dst + i);
    hn::StoreU(y1, d, dst + i + lanes);
  }
  for (; i < n; i += lanes) {
    const size_t left = static_cast<size_t>(std::min(lanes, n - i));
    hn::StoreN(result(hn::LoadN(d, from + i, left)), d, dst + i, left);
  }
}

// `columns` (at most a vector) neighbouring columns of n rows that are `stride` apart.
void SoftmaxColumns(const float* src, float* dst, int64_t n, int64_t stride, size_t columns, bool log) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  V max = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < n; ++i) max = hn::Max(hn::LoadN(d, src + i * stride, columns), max);
  V sum = hn::Zero(d);
  for (int64_t i = 0; i < n; ++i) {
    const V e = ExpLikePairs(d, hn::Sub(hn::LoadN(d, src + i * stride, columns), max));
    sum = hn::Add(sum, e);
    if (!log) hn::StoreN(e, d, dst + i * stride, columns);
  }
  const V factor = log ? Log(d, sum) : hn::Div(hn::Set(d, 1.0f), sum);
  for (int64_t i = 0; i < n; ++i) {
    const V x = hn::LoadN(d, (log ? src : dst) + i * stride, columns);
    hn::StoreN(log ? hn::Sub(hn::Sub(x, max), factor) : hn::Mul(x, factor), d, dst + i * stride, columns);
  }
}

void SoftmaxF32(const float* src, float* dst, int64_t outer, int64_t n, int64_t inner, bool log,
                const Parallel& parallel) {
  if (inner == 1) {
    range_in_pieces(parallel, outer, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        SoftmaxRow(src + row * n, dst + row * n, n, log, row + 1 < end ? n : 0);
    });
    return;
  }
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  const int64_t groups = (inner + lanes - 1) / lanes;
  range_in_pieces(parallel, outer * groups, std::max<int64_t>(1, 4096 / (n * lanes)), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t column = at % groups * lanes;
      const int64_t offset = at / groups * n * inner + column;
      SoftmaxColumns(src + offset, dst + offset, n, inner, static_cast<size_t>(std::min(lanes, inner - column)), log);
    }
  });
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(SoftmaxF32);

void softmax(const float* src, float* dst, int64_t outer, int64_t n, int64_t inner, bool log,
             const Parallel& parallel) {
  if (outer == 0 || n == 0 || inner == 0) return;
  HWY_DYNAMIC_DISPATCH(SoftmaxF32)(src, dst, outer, n, inner, log, parallel);
}

void softmax(const double* src, double* dst, int64_t outer, int64_t n, int64_t inner, bool log,
             const Parallel& parallel) {
  if (outer == 0 || n == 0 || inner == 0) return;
  range_in_pieces(parallel, outer * inner, std::max<int64_t>(1, 1024 / n), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t offset = at / inner * n * inner + at % inner;
      const double* x = src + offset;
      double* y = dst + offset;
      double max = -std::numeric_limits<double>::infinity();
      for (int64_t i = 0; i < n; ++i) max = std::max(max, x[i * inner]);
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i * inner] - max);
      const double log_sum = std::log(sum);
      for (int64_t i = 0; i < n; ++i) {
        const double shifted = x[i * inner] - max;
        y[i * inner] = log ? shifted - log_sum : std::exp(shifted) / sum;
      }
    }
  });
}

}  // namespace fastort::kernels
#endif
