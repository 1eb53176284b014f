// Included once for each SIMD target.
#if defined(FASTORT_REQUANTIZE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_REQUANTIZE_INL_H
#undef FASTORT_REQUANTIZE_INL_H
#else
#define FASTORT_REQUANTIZE_INL_H
#endif

#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Floats to the integers of a quantized type: clamped, rounded half to even, the zero point added. NaN becomes the
// lowest number. The bounds are small: next to 1.5 * 2^23 the bits of a float count in ones.
template <class D32>
class Requantize {
 public:
  using V = hn::Vec<D32>;
  using F = hn::Vec<hn::Rebind<float, D32>>;
  HWY_INLINE Requantize(float low, float high, int32_t zero)
      : low_(hn::Set(df_, low)), high_(hn::Set(df_, high)), zero_(hn::Set(d_, zero - kBits)) {}
  HWY_INLINE V operator()(F value) const {
    const F counted = hn::Add(hn::Min(hn::Max(value, low_), high_), hn::Set(df_, kShift));
    return hn::Add(hn::BitCast(d_, counted), zero_);
  }
  HWY_INLINE V operator()(V sum, F scale) const { return (*this)(hn::Mul(hn::ConvertTo(df_, sum), scale)); }

 private:
  static constexpr float kShift = 12582912.0f;
  static constexpr int32_t kBits = 0x4B400000;
  static constexpr D32 d_{};
  static constexpr hn::Rebind<float, D32> df_{};
  F low_, high_;
  V zero_;
};

// Two vectors of numbers in the range of T, in order.
template <class V, class T>
HWY_INLINE void store_bytes(V first, V second, T* dst) {
  const hn::DFromV<V> d32;
  const hn::Repartition<int16_t, decltype(d32)> d16;
  const hn::Rebind<T, decltype(d16)> d8;
  hn::StoreU(hn::DemoteTo(d8, hn::OrderedDemote2To(d16, first, second)), d8, dst);
}

// dst[i] = src[i] - zero.
template <class T>
HWY_INLINE void widen_bytes(const T* HWY_RESTRICT src, int64_t count, int32_t zero, int16_t* HWY_RESTRICT dst) {
  const hn::CappedTag<int16_t, 32> d;
  const hn::Rebind<T, decltype(d)> d8;
  const auto less = hn::Set(d, static_cast<int16_t>(zero));
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::Sub(hn::PromoteTo(d, hn::LoadU(d8, src + i)), less), d, dst + i);
  for (; i < count; ++i) dst[i] = static_cast<int16_t>(src[i] - zero);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
