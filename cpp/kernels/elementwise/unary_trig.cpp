// Sine and cosine of float32.
#include <cmath>

#include "kernels/elementwise/unary_tables.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/unary_trig.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "kernels/elementwise/map-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int kQuarterTurns>
void SinCos(const void* src, void* dst, int64_t n, const UnaryParams&) {
  Map(static_cast<const float*>(src), static_cast<float*>(dst), n, [](auto d, auto x) HWY_ATTR {
    if (HWY_LIKELY(hn::AllTrue(d, hn::Le(hn::Abs(x), hn::Set(d, kSinCosLimit)))))
      return SinShifted(d, x, kQuarterTurns);
    // Angles of many turns, infinities and NaN.
    HWY_ALIGN float values[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(x, d, values);
    for (size_t i = 0; i < hn::Lanes(d); ++i) values[i] = kQuarterTurns ? std::cos(values[i]) : std::sin(values[i]);
    return hn::Load(d, values);
  });
}

UnaryFn TrigonometricUnary(UnaryOp op) {
  if (op == UnaryOp::Sin) return SinCos<0>;
  return op == UnaryOp::Cos ? SinCos<1> : nullptr;
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {
HWY_EXPORT(TrigonometricUnary);
UnaryFn trigonometric_unary_f32(UnaryOp op) { return HWY_DYNAMIC_DISPATCH(TrigonometricUnary)(op); }
}  // namespace fastort::kernels
#endif
