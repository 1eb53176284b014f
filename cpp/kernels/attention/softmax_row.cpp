#include "kernels/attention/softmax_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/softmax_row.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "kernels/elementwise/exp-pair-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr float kLog2e = 1.44269504f;
// Maxima up to which the factor of shifted_exps stays near 1.
constexpr float kFarthest = 1e5f;
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Replaces each number of a row by body(i, number).
template <class F>
HWY_INLINE void transform(float* row, int64_t count, F&& body) {
  const D d;
  const size_t lanes = hn::Lanes(d), n = static_cast<size_t>(count);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(body(i, lanes, hn::LoadU(d, row + i)), d, row + i);
  if (i < n) hn::StoreN(body(i, n - i, hn::LoadN(d, row + i, n - i)), d, row + i, n - i);
}

void Cap(float* row, int64_t count, float cap) {
  const V c = hn::Set(D(), cap), inverse = hn::Set(D(), 1 / cap);
  transform(row, count, [&](size_t, size_t, V x) HWY_ATTR { return hn::Mul(c, Tanh(D(), hn::Mul(x, inverse))); });
}

void Add(float* row, const float* bias, int64_t count) {
  transform(row, count, [&](size_t i, size_t n, V x) HWY_ATTR { return hn::Add(x, hn::LoadN(D(), bias + i, n)); });
}

// The numbers of a row with their bias, from `i` on; lanes behind the row are -inf.
HWY_INLINE V biased(const float* row, const float* bias, size_t i) {
  const D d;
  const V x = hn::LoadU(d, row + i);
  return bias ? hn::Add(x, hn::LoadU(d, bias + i)) : x;
}
HWY_INLINE V biased_rest(const float* row, const float* bias, size_t i, size_t left) {
  const D d;
  V x = hn::LoadN(d, row + i, left);
  if (bias) x = hn::Add(x, hn::LoadN(d, bias + i, left));
  return hn::IfThenElse(hn::FirstN(d, left), x, hn::Set(d, kLowest));
}

// Rows of -inf alone give zeros, so that NaN among them can be told.
HWY_INLINE float shift_of(float most) { return most > kLowest ? most : 0.0f; }

template <bool kBias>
HWY_INLINE float exp_biased(float* row, const float* given_bias, size_t n, float& sum) {
  const D d;
  const float* const bias = kBias ? given_bias : nullptr;
  const size_t lanes = hn::Lanes(d);
  const V lowest = hn::Set(d, kLowest);
  V m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    m0 = hn::Max(m0, biased(row, bias, i));
    m1 = hn::Max(m1, biased(row, bias, i + lanes));
    m2 = hn::Max(m2, biased(row, bias, i + 2 * lanes));
    m3 = hn::Max(m3, biased(row, bias, i + 3 * lanes));
  }
  for (; i + lanes <= n; i += lanes) m0 = hn::Max(m0, biased(row, bias, i));
  if (i < n) m1 = hn::Max(m1, biased_rest(row, bias, i, n - i));
  const float most = hn::ReduceMax(d, hn::Max(hn::Max(m0, m1), hn::Max(m2, m3)));
  const V shift = hn::Set(d, shift_of(most));
  V s0 = hn::Zero(d), s1 = hn::Zero(d);
  for (i = 0; i + 2 * lanes <= n; i += 2 * lanes) {
    V e[2] = {hn::Sub(biased(row, bias, i), shift), hn::Sub(biased(row, bias, i + lanes), shift)};
    ExpsOfNegative(d, e);
    hn::StoreU(e[0], d, row + i);
    hn::StoreU(e[1], d, row + i + lanes);
    s0 = hn::Add(s0, e[0]);
    s1 = hn::Add(s1, e[1]);
  }
  if (i + lanes <= n) {
    const V e = ExpLikePairs(d, hn::Sub(biased(row, bias, i), shift));
    hn::StoreU(e, d, row + i);
    s0 = hn::Add(s0, e);
    i += lanes;
  }
  if (i < n) {
    const V e = ExpLikePairs(d, hn::Sub(biased_rest(row, bias, i, n - i), shift));
    hn::StoreN(e, d, row + i, n - i);
    s1 = hn::Add(s1, hn::IfThenElseZero(hn::FirstN(d, n - i), e));
  }
  sum = hn::ReduceSum(d, hn::Add(s0, s1));
  return most;
}

float ExpRow(float* row, const float* bias, int64_t count, float& sum) {
  const size_t n = static_cast<size_t>(count);
  return bias ? exp_biased<true>(row, bias, n, sum) : exp_biased<false>(row, nullptr, n, sum);
}

// Lanes behind the first `left` ones are -inf, whatever stands there.
template <bool kBias>
HWY_INLINE V last_scores(const ScoreRow& row, size_t i, size_t left) {
  const D d;
  V x = hn::LoadU(d, row.scores + i);
  if constexpr (kBias) x = hn::Add(x, hn::LoadN(d, row.bias + i, left));
  return hn::IfThenElse(hn::FirstN(d, left), x, hn::Set(d, kLowest));
}

template <bool kBias>
HWY_INLINE float largest_score(const ScoreRow& row) {
  const D d;
  const size_t lanes = hn::Lanes(d), n = static_cast<size_t>(row.count);
  const float* const bias = kBias ? row.bias : nullptr;
  V m0 = hn::Set(d, kLowest), m1 = m0;
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    m0 = hn::Max(m0, biased(row.scores, bias, i));
    m1 = hn::Max(m1, biased(row.scores, bias, i + lanes));
  }
  if (i + lanes <= n) {
    m0 = hn::Max(m0, biased(row.scores, bias, i));
    i += lanes;
  }
  if (i < n) m1 = hn::Max(m1, last_scores<kBias>(row, i, n - i));
  return hn::ReduceMax(d, hn::Max(m0, m1));
}

// x[i] = 2^(log2(e) x[i] - shift), at most a little above 1. What the rounded shift errs by is the same factor for a
// whole row; otherwise the relative error is below (2 + |log2(e) x - shift|) ulp.
template <int kN>
HWY_INLINE void shifted_exps(V (&x)[kN], V shift) {
  const D d;
  const V magic = hn::Set(d, kExponentMagic), log2e = hn::Set(d, kLog2e);
  V rounded[kN], rest[kN];
#define FASTORT_EACH _Pragma("GCC unroll 4") for (int i = 0; i < kN; ++i)
  FASTORT_EACH x[i] = AtLeast(d, hn::MulSub(x[i], log2e, shift), -127.0f);
  FASTORT_EACH rounded[i] = hn::Add(x[i], magic);
  FASTORT_EACH rest[i] = hn::Sub(x[i], hn::Sub(rounded[i], magic));
#undef FASTORT_EACH
  PowersFromParts(d, rest, rounded, x);
}

HWY_INLINE bool is_far(float most) { return std::abs(shift_of(most)) > kFarthest; }

// kN vectors of exponentials from `i` on, which are added to `sum`.
template <bool kBias, int kN>
HWY_INLINE void exp_vectors(float* scores, const float* bias, size_t i, V shift, V& sum) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V e[kN];
#pragma GCC unroll 4
  for (size_t k = 0; k < kN; ++k) e[k] = biased(scores, kBias ? bias : nullptr, i + k * lanes);
  shifted_exps(e, shift);
#pragma GCC unroll 4
  for (size_t k = 0; k < kN; ++k) {
    hn::StoreU(e[k], d, scores + i + k * lanes);
    sum = hn::Add(sum, e[k]);
  }
}

template <bool kBias>
HWY_INLINE float exp_scores(const ScoreRow& row, size_t end) {
  const D d;
  const size_t lanes = hn::Lanes(d), n = static_cast<size_t>(row.count);
  float* const scores = row.scores;
  const float* const bias = row.bias;
  const V shift = hn::Set(d, shift_of(row.most) * kLog2e);
  V sum = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) exp_vectors<kBias, 2>(scores, bias, i, shift, sum);
  for (; i + lanes <= n; i += lanes) exp_vectors<kBias, 1>(scores, bias, i, shift, sum);
  if (i < n) {
    V e[1] = {last_scores<kBias>(row, i, n - i)};
    shifted_exps(e, shift);
    e[0] = hn::IfThenElseZero(hn::FirstN(d, n - i), e[0]);
    hn::StoreU(e[0], d, scores + i);
    sum = hn::Add(sum, e[0]);
    i += lanes;
  }
  for (; i < end; i += lanes) hn::StoreU(hn::Zero(d), d, scores + i);
  return hn::ReduceSum(d, sum);
}

// The maxima of all rows come first: nothing then waits for the lanes of one to be compared.
void ExpRows(ScoreRow* rows, int64_t count, int64_t end) {
  for (int64_t r = 0; r < count; ++r)
    rows[r].most = rows[r].bias ? largest_score<true>(rows[r]) : largest_score<false>(rows[r]);
  const size_t stop = static_cast<size_t>(end);
  for (int64_t r = 0; r < count; ++r) {
    ScoreRow& row = rows[r];
    if (is_far(row.most)) {
      ExpRow(row.scores, row.bias, row.count, row.sum);
      std::fill(row.scores + row.count, row.scores + end, 0.0f);
    } else {
      row.sum = row.bias ? exp_scores<true>(row, stop) : exp_scores<false>(row, stop);
    }
  }
}

float ExpBeside(float most, float score) {
  if (is_far(most)) return std::exp(score - most);
  return std::exp2(std::fma(score, kLog2e, -most * kLog2e));
}

void MaskFloats(const bool* taken, int64_t count, float* dst) {
  const D d;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint8_t, D> bytes;
  const size_t lanes = hn::Lanes(d), n = static_cast<size_t>(count);
  const uint8_t* const src = reinterpret_cast<const uint8_t*>(taken);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto masked = hn::RebindMask(d, hn::Eq(hn::PromoteTo(di, hn::LoadU(bytes, src + i)), hn::Zero(di)));
    hn::StoreU(hn::IfThenElseZero(masked, hn::Set(d, kLowest)), d, dst + i);
  }
  for (; i < n; ++i) dst[i] = src[i] ? 0.0f : kLowest;
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Cap);
HWY_EXPORT(Add);
HWY_EXPORT(ExpRow);
HWY_EXPORT(ExpRows);
HWY_EXPORT(ExpBeside);
HWY_EXPORT(MaskFloats);

void softcap_row(float* row, int64_t count, float cap) { HWY_DYNAMIC_DISPATCH(Cap)(row, count, cap); }
void add_row(float* row, const float* bias, int64_t count) { HWY_DYNAMIC_DISPATCH(Add)(row, bias, count); }
float exp_row(float* row, const float* bias, int64_t count, float& sum) {
  return HWY_DYNAMIC_DISPATCH(ExpRow)(row, bias, count, sum);
}
void exp_rows(ScoreRow* rows, int64_t count, int64_t end) { HWY_DYNAMIC_DISPATCH(ExpRows)(rows, count, end); }
float exp_beside(float most, float score) { return HWY_DYNAMIC_DISPATCH(ExpBeside)(most, score); }
void mask_floats(const bool* taken, int64_t count, float* dst) { HWY_DYNAMIC_DISPATCH(MaskFloats)(taken, count, dst); }

}  // namespace fastort::kernels
#endif
