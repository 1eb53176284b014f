#include "kernels/attention/softmax_row.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/softmax_row.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "kernels/elementwise/math-inl.h"

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

// Four at a time hide the latency of Max and Exp.
float ExpRow(float* row, const float* bias, int64_t count, float& sum) {
  const D d;
  const size_t lanes = hn::Lanes(d), n = static_cast<size_t>(count);
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  V m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  size_t i = 0;
  if (bias) {
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
      const V x0 = hn::Add(hn::LoadU(d, row + i), hn::LoadU(d, bias + i));
      const V x1 = hn::Add(hn::LoadU(d, row + i + lanes), hn::LoadU(d, bias + i + lanes));
      hn::StoreU(x0, d, row + i);
      hn::StoreU(x1, d, row + i + lanes);
      m0 = hn::Max(m0, x0);
      m1 = hn::Max(m1, x1);
    }
  } else {
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
      m0 = hn::Max(m0, hn::LoadU(d, row + i));
      m1 = hn::Max(m1, hn::LoadU(d, row + i + lanes));
      m2 = hn::Max(m2, hn::LoadU(d, row + i + 2 * lanes));
      m3 = hn::Max(m3, hn::LoadU(d, row + i + 3 * lanes));
    }
  }
  float most = hn::ReduceMax(d, hn::Max(hn::Max(m0, m1), hn::Max(m2, m3)));
  for (; i < n; ++i) {
    if (bias) row[i] += bias[i];
    most = row[i] > most ? row[i] : most;
  }
  const V shift = hn::Set(d, most);
  V s0 = hn::Zero(d), s1 = hn::Zero(d);
  for (i = 0; i + 2 * lanes <= n; i += 2 * lanes) {
    const V e0 = Exp(d, hn::Sub(hn::LoadU(d, row + i), shift));
    const V e1 = Exp(d, hn::Sub(hn::LoadU(d, row + i + lanes), shift));
    hn::StoreU(e0, d, row + i);
    hn::StoreU(e1, d, row + i + lanes);
    s0 = hn::Add(s0, e0);
    s1 = hn::Add(s1, e1);
  }
  for (; i < n; i += lanes) {
    const size_t left = HWY_MIN(lanes, n - i);
    // Lanes behind the row become e^-inf.
    const V x = hn::IfThenElse(hn::FirstN(d, left), hn::LoadN(d, row + i, left), lowest);
    const V e = hn::IfThenElseZero(hn::FirstN(d, left), Exp(d, hn::Sub(x, shift)));
    hn::StoreN(e, d, row + i, left);
    s0 = hn::Add(s0, e);
  }
  sum = hn::ReduceSum(d, hn::Add(s0, s1));
  return most;
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
