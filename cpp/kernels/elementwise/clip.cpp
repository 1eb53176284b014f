#include "kernels/elementwise/clip.h"

#include <limits>

#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"
#include "kernels/elementwise/unary.h"

namespace fastort::kernels {
namespace {

template <class T>
void clip_typed(const void* src, void* dst, int64_t n, const void* low_void, const void* high_void) {
  const T* x = static_cast<const T*>(src);
  T* y = static_cast<T*>(dst);
  const bool real = std::is_floating_point_v<T>;
  const T lowest = real ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
  const T highest = real ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  const T low = low_void ? *static_cast<const T*>(low_void) : lowest;
  const T high = high_void ? *static_cast<const T*>(high_void) : highest;
  for (int64_t i = 0; i < n; ++i) {
    const T v = x[i] < low ? low : x[i];
    y[i] = v > high ? high : v;
  }
}

template <class T>
float bound(const void* value, float missing) {
  if (!value) return missing;
  if constexpr (kIsHalf<T>)
    return to_float(*static_cast<const T*>(value));
  else
    return *static_cast<const T*>(value);
}

template <class T>
void clip_float(const void* src, void* dst, int64_t n, const void* low, const void* high) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const UnaryParams params{bound<T>(low, -kInfinity), bound<T>(high, kInfinity)};
  (*Unary::find(UnaryOp::Clip, kDataTypeOf<T>, params))(src, dst, n);
}

}  // namespace

ClipFn clip(DataType type) {
  if (ClipFn fn = dispatch(TypeList<float, Float16, BFloat16>{}, type,
                           [](auto tag) -> ClipFn { return clip_float<typename decltype(tag)::type>; }))
    return fn;
  return dispatch(Joined<TypeList<double>, IntList>{}, type,
                  [](auto tag) -> ClipFn { return clip_typed<typename decltype(tag)::type>; });
}

}  // namespace fastort::kernels
