#include "kernels/move/interleave.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/move/interleave.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

void Colours(const uint8_t* src, int64_t plane, uint8_t* dst, int64_t n) {
  const hn::ScalableTag<uint8_t> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreInterleaved3(hn::LoadU(d, src + i), hn::LoadU(d, src + plane + i), hn::LoadU(d, src + 2 * plane + i), d,
                          dst + 3 * i);
  for (; i < n; ++i)
    for (int64_t c = 0; c < 3; ++c) dst[3 * i + c] = src[c * plane + i];
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Colours);

void interleave_colours(const uint8_t* src, int64_t plane, uint8_t* dst, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Colours)(src, plane, dst, n);
}

}  // namespace fastort::kernels
#endif
