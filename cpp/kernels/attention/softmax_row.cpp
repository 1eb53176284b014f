#include "kernels/attention/softmax_row.h"

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

void Scale(float* row, int64_t count, float factor) {
  const V f = hn::Set(D(), factor);
  transform(row, count, [&](size_t, size_t, V x) HWY_ATTR { return hn::Mul(x, f); });
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
  return hn::IfThenElse(hn::FirstN(d, left), x, hn::Set(d, -std::numeric_limits<float>::infinity()));
}

template <bool kBias>
HWY_INLINE float exp_biased(float* row, const float* given_bias, size_t n, float& sum) {
  const D d;
  const float* const bias = kBias ? given_bias : nullptr;
  const size_t lanes = hn::Lanes(d);
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
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
  const V shift = hn::Set(d, most);
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

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Cap);
HWY_EXPORT(Add);
HWY_EXPORT(Scale);
HWY_EXPORT(ExpRow);

void softcap_row(float* row, int64_t count, float cap) { HWY_DYNAMIC_DISPATCH(Cap)(row, count, cap); }
void add_row(float* row, const float* bias, int64_t count) { HWY_DYNAMIC_DISPATCH(Add)(row, bias, count); }
void scale_row(float* row, int64_t count, float factor) { HWY_DYNAMIC_DISPATCH(Scale)(row, count, factor); }
float exp_row(float* row, const float* bias, int64_t count, float& sum) {
  return HWY_DYNAMIC_DISPATCH(ExpRow)(row, bias, count, sum);
}

}  // namespace fastort::kernels
#endif
