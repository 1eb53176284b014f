#include "kernels/elementwise/select.h"

namespace fastort::kernels {
namespace {

struct Item16 {
  uint64_t parts[2];
};

template <class T, bool kVectorX, bool kVectorY>
void select_rows(const uint8_t* condition, const T* x, const T* y, T* dst, int64_t n) {
  const T x0 = *x, y0 = *y;
  for (int64_t i = 0; i < n; ++i) {
    // Both sides are read, so that the compiler can blend.
    const T a = kVectorX ? x[i] : x0;
    const T b = kVectorY ? y[i] : y0;
    dst[i] = condition[i] ? a : b;
  }
}

template <class T>
void select_typed(const uint8_t* condition, int64_t condition_step, const void* x_void, int64_t x_step,
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
  if (x_step && y_step) return select_rows<T, true, true>(condition, x, y, dst, n);
  if (x_step) return select_rows<T, true, false>(condition, x, y, dst, n);
  if (y_step) return select_rows<T, false, true>(condition, x, y, dst, n);
  select_rows<T, false, false>(condition, x, y, dst, n);
}

}  // namespace

SelectFn select(size_t item) {
  switch (item) {
    case 1:
      return select_typed<uint8_t>;
    case 2:
      return select_typed<uint16_t>;
    case 4:
      return select_typed<uint32_t>;
    case 8:
      return select_typed<uint64_t>;
    case 16:
      return select_typed<Item16>;
    default:
      return nullptr;
  }
}

}  // namespace fastort::kernels
