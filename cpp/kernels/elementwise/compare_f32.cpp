#include "kernels/elementwise/binary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/compare_f32.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <BinaryOp op, class V>
HWY_INLINE auto Holds(V a, V b) {
  if constexpr (op == BinaryOp::Less) return hn::Lt(a, b);
  if constexpr (op == BinaryOp::LessOrEqual) return hn::Le(a, b);
  if constexpr (op == BinaryOp::Greater) return hn::Gt(a, b);
  if constexpr (op == BinaryOp::GreaterOrEqual) return hn::Ge(a, b);
  if constexpr (op == BinaryOp::Equal) return hn::Eq(a, b);
}

template <BinaryOp op>
HWY_INLINE bool HoldsScalar(float a, float b) {
  if (op == BinaryOp::Less) return a < b;
  if (op == BinaryOp::LessOrEqual) return a <= b;
  if (op == BinaryOp::Greater) return a > b;
  if (op == BinaryOp::GreaterOrEqual) return a >= b;
  return a == b;
}

template <BinaryOp op, bool kVectorA, bool kVectorB>
void Loop(const void* a_void, const void* b_void, void* dst_void, int64_t n) {
  const float* a = static_cast<const float*>(a_void);
  const float* b = static_cast<const float*>(b_void);
  uint8_t* dst = static_cast<uint8_t*>(dst_void);
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float a0 = *a, b0 = *b;
  auto x = hn::Set(d, a0), y = hn::Set(d, b0);
  const auto one = hn::Set(du, 1u);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    if constexpr (kVectorA) x = hn::LoadU(d, a + i);
    if constexpr (kVectorB) y = hn::LoadU(d, b + i);
    const auto flags = hn::And(hn::BitCast(du, hn::VecFromMask(d, Holds<op>(x, y))), one);
    hn::StoreU(hn::TruncateTo(d8, flags), d8, dst + i);
  }
  for (; i < n; ++i) dst[i] = HoldsScalar<op>(kVectorA ? a[i] : a0, kVectorB ? b[i] : b0);
}

template <BinaryOp op>
BinaryFns Forms() {
  return {Loop<op, true, true>, Loop<op, true, false>, Loop<op, false, true>};
}

BinaryFns FindComparison(BinaryOp op) {
  switch (op) {
    case BinaryOp::Equal:
      return Forms<BinaryOp::Equal>();
    case BinaryOp::Less:
      return Forms<BinaryOp::Less>();
    case BinaryOp::LessOrEqual:
      return Forms<BinaryOp::LessOrEqual>();
    case BinaryOp::Greater:
      return Forms<BinaryOp::Greater>();
    default:
      return Forms<BinaryOp::GreaterOrEqual>();
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {
HWY_EXPORT(FindComparison);
BinaryFns vector_comparison_f32(BinaryOp op) { return HWY_DYNAMIC_DISPATCH(FindComparison)(op); }
}  // namespace fastort::kernels
#endif
