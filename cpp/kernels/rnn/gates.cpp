#include "kernels/rnn/gates.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rnn/gates.cpp"
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

// Calls body(i, n) for the vectors of a row; n is what is left of the last one, else the number of lanes.
template <class F>
HWY_INLINE void for_vectors(int64_t count, F&& body) {
  const size_t lanes = hn::Lanes(D()), total = static_cast<size_t>(count);
  size_t i = 0;
  for (; i + lanes <= total; i += lanes) body(i, lanes);
  if (i < total) body(i, total - i);
}

HWY_INLINE V load(const float* src, size_t n) {
  const D d;
  return HWY_LIKELY(n == hn::Lanes(d)) ? hn::LoadU(d, src) : hn::LoadN(d, src, n);
}
HWY_INLINE void store(V v, float* dst, size_t n) {
  const D d;
  if (HWY_LIKELY(n == hn::Lanes(d))) {
    hn::StoreU(v, d, dst);
  } else {
    hn::StoreN(v, d, dst, n);
  }
}

// The bounded sum of both products; NaN as the second operand of Min and Max stays NaN on every target.
HWY_INLINE V bound(V sum, float clip) {
  const D d;
  return hn::Min(hn::Set(d, clip), hn::Max(hn::Set(d, -clip), sum));
}
HWY_INLINE V gate(const float* x, const float* rec, size_t n, float clip) {
  return bound(hn::Add(load(x, n), load(rec, n)), clip);
}

void Lstm(const float* x, const float* rec, float* c, float* h, int64_t hidden, float clip) {
  for_vectors(hidden, [&](size_t i, size_t n) HWY_ATTR {
    const D d;
    const size_t step = static_cast<size_t>(hidden);
    const V in = Sigmoid(d, gate(x + i, rec + i, n, clip));
    const V out = Sigmoid(d, gate(x + step + i, rec + step + i, n, clip));
    const V forget = Sigmoid(d, gate(x + 2 * step + i, rec + 2 * step + i, n, clip));
    const V cell = Tanh(d, gate(x + 3 * step + i, rec + 3 * step + i, n, clip));
    const V next = hn::MulAdd(forget, load(c + i, n), hn::Mul(in, cell));
    store(next, c + i, n);
    store(hn::Mul(out, Tanh(d, next)), h + i, n);
  });
}

HWY_INLINE V mix(V z, V fresh, V old) {
  const D d;
  return hn::MulAdd(z, old, hn::Mul(hn::Sub(hn::Set(d, 1.0f), z), fresh));
}

void GruLinear(const float* x, const float* rec, float* h, int64_t hidden, float clip) {
  for_vectors(hidden, [&](size_t i, size_t n) HWY_ATTR {
    const D d;
    const size_t step = static_cast<size_t>(hidden);
    const V z = Sigmoid(d, gate(x + i, rec + i, n, clip));
    const V r = Sigmoid(d, gate(x + step + i, rec + step + i, n, clip));
    const V sum = hn::MulAdd(r, load(rec + 2 * step + i, n), load(x + 2 * step + i, n));
    store(mix(z, Tanh(d, bound(sum, clip)), load(h + i, n)), h + i, n);
  });
}

void GruReset(const float* x, float* rec, const float* h, float* reset_h, int64_t hidden, float clip) {
  for_vectors(hidden, [&](size_t i, size_t n) HWY_ATTR {
    const D d;
    const size_t step = static_cast<size_t>(hidden);
    const V r = Sigmoid(d, gate(x + step + i, rec + step + i, n, clip));
    store(Sigmoid(d, gate(x + i, rec + i, n, clip)), rec + i, n);
    store(hn::Mul(r, load(h + i, n)), reset_h + i, n);
  });
}

void GruUpdate(const float* x, const float* rec, float* h, int64_t hidden, float clip) {
  for_vectors(hidden, [&](size_t i, size_t n) HWY_ATTR {
    const D d;
    const size_t step = static_cast<size_t>(hidden);
    const V fresh = Tanh(d, gate(x + 2 * step + i, rec + 2 * step + i, n, clip));
    store(mix(load(rec + i, n), fresh, load(h + i, n)), h + i, n);
  });
}

void Rnn(const float* x, const float* rec, float* h, int64_t hidden, float clip) {
  for_vectors(hidden, [&](size_t i, size_t n) HWY_ATTR { store(Tanh(D(), gate(x + i, rec + i, n, clip)), h + i, n); });
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Lstm);
HWY_EXPORT(GruLinear);
HWY_EXPORT(GruReset);
HWY_EXPORT(GruUpdate);
HWY_EXPORT(Rnn);

void lstm_gates(const float* x, const float* rec, float* c, float* h, int64_t hidden, float clip) {
  HWY_DYNAMIC_DISPATCH(Lstm)(x, rec, c, h, hidden, clip);
}
void gru_gates_linear(const float* x, const float* rec, float* h, int64_t hidden, float clip) {
  HWY_DYNAMIC_DISPATCH(GruLinear)(x, rec, h, hidden, clip);
}
void gru_gates_reset(const float* x, float* rec, const float* h, float* reset_h, int64_t hidden, float clip) {
  HWY_DYNAMIC_DISPATCH(GruReset)(x, rec, h, reset_h, hidden, clip);
}
void gru_gates_update(const float* x, const float* rec, float* h, int64_t hidden, float clip) {
  HWY_DYNAMIC_DISPATCH(GruUpdate)(x, rec, h, hidden, clip);
}
void rnn_gates(const float* x, const float* rec, float* h, int64_t hidden, float clip) {
  HWY_DYNAMIC_DISPATCH(Rnn)(x, rec, h, hidden, clip);
}

}  // namespace fastort::kernels
#endif
