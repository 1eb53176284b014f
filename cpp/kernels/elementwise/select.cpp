#include "kernels/elementwise/select.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/select.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T, bool kVectorX, bool kVectorY>
void SelectRows(const uint8_t* condition, const T* x, const T* y, T* dst, int64_t n) {
  const hn::ScalableTag<T> d;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const T x0 = *x, y0 = *y;
  auto a = hn::Set(d, x0), b = hn::Set(d, y0);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    if constexpr (kVectorX) a = hn::LoadU(d, x + i);
    if constexpr (kVectorY) b = hn::LoadU(d, y + i);
    auto flags = hn::LoadU(d8, condition + i);
    if constexpr (sizeof(T) == 1)
      hn::StoreU(hn::IfThenElse(hn::Eq(flags, hn::Zero(d)), b, a), d, dst + i);
    else
      hn::StoreU(hn::IfThenElse(hn::Eq(hn::PromoteTo(d, flags), hn::Zero(d)), b, a), d, dst + i);
  }
  for (; i < n; ++i) dst[i] = condition[i] ? (kVectorX ? x[i] : x0) : (kVectorY ? y[i] : y0);
}

template <class T>
void SelectTyped(const uint8_t* condition, int64_t condition_step, const void* x_void, int64_t x_step,
                 const void* y_void, int64_t y_step, void* dst_void, int64_t n) {
  const T* x = static_cast<const T*>(x_void);
  const T* y = static_cast<const T*>(y_void);
  T* dst = static_cast<T*>(dst_void);
  if (condition_step == 0) {
    const T* from = *condition ? x : y;
    const int64_t step = *condition ? x_step : y_step;
    for (int64_t i = 0; i < n; ++i) dst[i] = from[i * step];
    return;
  }
  if (x_step && y_step) return SelectRows<T, true, true>(condition, x, y, dst, n);
  if (x_step) return SelectRows<T, true, false>(condition, x, y, dst, n);
  if (y_step) return SelectRows<T, false, true>(condition, x, y, dst, n);
  SelectRows<T, false, false>(condition, x, y, dst, n);
}

SelectFn FindSelect(size_t item) {
  switch (item) {
    case 1:
      return SelectTyped<uint8_t>;
    case 2:
      return SelectTyped<uint16_t>;
    case 4:
      return SelectTyped<uint32_t>;
    case 8:
      return SelectTyped<uint64_t>;
    default:
      return nullptr;
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(FindSelect);

namespace {

struct Item16 {
  uint64_t parts[2];
};

void select_16(const uint8_t* condition, int64_t condition_step, const void* x, int64_t x_step, const void* y,
               int64_t y_step, void* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    static_cast<Item16*>(dst)[i] = condition[i * condition_step] ? static_cast<const Item16*>(x)[i * x_step]
                                                                 : static_cast<const Item16*>(y)[i * y_step];
}

}  // namespace

SelectFn select(size_t item) { return item == 16 ? select_16 : HWY_DYNAMIC_DISPATCH(FindSelect)(item); }

}  // namespace fastort::kernels
#endif
