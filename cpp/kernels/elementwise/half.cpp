#include "kernels/elementwise/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/half.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void WidenF16(const Float16* src, float* dst, int64_t n) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::LoadU(du, reinterpret_cast<const uint16_t*>(src + i));
    hn::StoreU(hn::PromoteTo(d, hn::BitCast(dh, bits)), d, dst + i);
  }
  for (; i < n; ++i) dst[i] = to_float(src[i]);
}

void WidenBF16(const BFloat16* src, float* dst, int64_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du32;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::LoadU(du, reinterpret_cast<const uint16_t*>(src + i));
    hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits))), d, dst + i);
  }
  for (; i < n; ++i) dst[i] = to_float(src[i]);
}

void NarrowF16(const float* src, Float16* dst, int64_t n) {
  int64_t i = 0;
// Without F16C Highway's conversion loses payloads of NaN and rounds in its own way: the scalar one is exact.
#if HWY_TARGET <= HWY_AVX2
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::DemoteTo(dh, hn::LoadU(d, src + i)));
    hn::StoreU(bits, du, reinterpret_cast<uint16_t*>(dst + i));
  }
#endif
  for (; i < n; ++i) dst[i] = to_float16(src[i]);
}

void NarrowBF16(const float* src, BFloat16* dst, int64_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du32;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto x = hn::LoadU(d, src + i);
    const auto bits = hn::BitCast(du32, x);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du32, 1u));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du32, 0x7fffu))));
    const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du32, 0x40u));
    const auto nan = hn::RebindMask(du32, hn::IsNaN(x));
    hn::StoreU(hn::TruncateTo(du, hn::IfThenElse(nan, quiet, rounded)), du, reinterpret_cast<uint16_t*>(dst + i));
  }
  for (; i < n; ++i) dst[i] = to_bfloat16(src[i]);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(WidenF16);
HWY_EXPORT(WidenBF16);
HWY_EXPORT(NarrowF16);
HWY_EXPORT(NarrowBF16);

void widen(const Float16* src, float* dst, int64_t n) { HWY_DYNAMIC_DISPATCH(WidenF16)(src, dst, n); }
void widen(const BFloat16* src, float* dst, int64_t n) { HWY_DYNAMIC_DISPATCH(WidenBF16)(src, dst, n); }
void narrow(const float* src, Float16* dst, int64_t n) { HWY_DYNAMIC_DISPATCH(NarrowF16)(src, dst, n); }
void narrow(const float* src, BFloat16* dst, int64_t n) { HWY_DYNAMIC_DISPATCH(NarrowBF16)(src, dst, n); }

void widen(DataType type, const void* src, float* dst, int64_t n) {
  if (type == DataType::Float16) return widen(static_cast<const Float16*>(src), dst, n);
  widen(static_cast<const BFloat16*>(src), dst, n);
}

void narrow(DataType type, const float* src, void* dst, int64_t n) {
  if (type == DataType::Float16) return narrow(src, static_cast<Float16*>(dst), n);
  narrow(src, static_cast<BFloat16*>(dst), n);
}

}  // namespace fastort::kernels
#endif
