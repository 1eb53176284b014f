#include "kernels/elementwise/binary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/binary_f32.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct AddF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};
struct SubF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Sub(a, b);
  }
};
struct MulF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Mul(a, b);
  }
};
struct DivF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Div(a, b);
  }
};
struct MaxF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
  }
};
struct MinF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b);
  }
};
struct PReluF {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::IfThenElse(hn::Lt(a, hn::Zero(hn::DFromV<V>())), hn::Mul(a, b), a);
  }
};

template <bool kVectorA, bool kVectorB, class F>
void Loop(const void* a_void, const void* b_void, void* dst_void, int64_t n) {
  const float* a = static_cast<const float*>(a_void);
  const float* b = static_cast<const float*>(b_void);
  float* dst = static_cast<float*>(dst_void);
  const F f;
  // What a masked store has written is not forwarded to the load of the step behind it.
  const hn::CappedTag<float, 1> one;
  if (n == 1) return hn::StoreU(f(hn::LoadU(one, a), hn::LoadU(one, b)), one, dst);
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto a_scalar = hn::Set(d, *a);
  const auto b_scalar = hn::Set(d, *b);
  auto step = [&](int64_t i) HWY_ATTR {
    auto x = a_scalar, y = b_scalar;
    if constexpr (kVectorA) x = hn::LoadU(d, a + i);
    if constexpr (kVectorB) y = hn::LoadU(d, b + i);
    return f(x, y);
  };
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const auto y0 = step(i), y1 = step(i + lanes), y2 = step(i + 2 * lanes), y3 = step(i + 3 * lanes);
    hn::StoreU(y0, d, dst + i);
    hn::StoreU(y1, d, dst + i + lanes);
    hn::StoreU(y2, d, dst + i + 2 * lanes);
    hn::StoreU(y3, d, dst + i + 3 * lanes);
  }
  for (; i + lanes <= n; i += lanes) hn::StoreU(step(i), d, dst + i);
  if (i == n) return;
  const size_t left = static_cast<size_t>(n - i);
  auto x = a_scalar, y = b_scalar;
  if constexpr (kVectorA) x = hn::LoadN(d, a + i, left);
  if constexpr (kVectorB) y = hn::LoadN(d, b + i, left);
  hn::StoreN(f(x, y), d, dst + i, left);
}

template <class F>
BinaryFns Forms() {
  return {Loop<true, true, F>, Loop<true, false, F>, Loop<false, true, F>};
}

BinaryFns Find(BinaryOp op) {
  switch (op) {
    case BinaryOp::Add:
      return Forms<AddF>();
    case BinaryOp::Sub:
      return Forms<SubF>();
    case BinaryOp::Mul:
      return Forms<MulF>();
    case BinaryOp::Div:
      return Forms<DivF>();
    case BinaryOp::Max:
      return Forms<MaxF>();
    case BinaryOp::Min:
      return Forms<MinF>();
    case BinaryOp::PRelu:
      return Forms<PReluF>();
    default:
      return {};
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {
HWY_EXPORT(Find);
BinaryFns vector_binary_f32(BinaryOp op) { return HWY_DYNAMIC_DISPATCH(Find)(op); }
}  // namespace fastort::kernels
#endif
