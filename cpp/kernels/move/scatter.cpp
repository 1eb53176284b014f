#include <algorithm>
#include <cmath>

#include "kernels/move/element.h"
#include "kernels/move/index.h"
#include "tensor/dispatch.h"

namespace fastort::kernels {
namespace {

struct Replace {
  template <class T>
  void operator()(T& dst, const T& update) const {
    dst = update;
  }
};

// Signed integers wrap around, as everywhere in ONNX's world.
template <class T>
T combine(Reduction reduction, T a, T b) {
  if constexpr (kIsHalf<T>) {
    return rounded<T>(combine(reduction, to_float(a), to_float(b)));
  } else if constexpr (kIsComplex<T>) {
    return reduction == Reduction::Add ? a + b : reduction == Reduction::Mul ? a * b : b;
  } else if constexpr (std::is_same_v<T, bool>) {
    return reduction == Reduction::Add || reduction == Reduction::Max ? a || b : a && b;
  } else {
    switch (reduction) {
      case Reduction::Add:
      case Reduction::Mul:
        if constexpr (std::is_integral_v<T>) {
          const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
          return static_cast<T>(reduction == Reduction::Add ? x + y : x * y);
        } else {
          return reduction == Reduction::Add ? a + b : a * b;
        }
      case Reduction::Max:
      case Reduction::Min:
        if constexpr (std::is_floating_point_v<T>) {
          if (std::isnan(a) || std::isnan(b)) return std::isnan(a) ? a : b;
        }
        return reduction == Reduction::Max ? std::max(a, b) : std::min(a, b);
      default:
        return b;
    }
  }
}

// Calls f(T, update function).
template <class F>
void with_update(DataType type, Reduction reduction, F&& f) {
  if (reduction == Reduction::None)
    return with_element(type, [&]<class T>(std::type_identity<T> tag) { f(tag, Replace{}); });
  with_type(Joined<RealList, ComplexList>{}, "a scatter with a reduction", type,
            [&]<class T>(std::type_identity<T> tag) {
              f(tag, [reduction](T& dst, const T& update) { dst = combine(reduction, dst, update); });
            });
}

}  // namespace

void scatter_elements(DataType type, Reduction reduction, const Shape& dst_shape, const Shape& update_shape, int axis,
                      Indices indices, const std::byte* updates, std::byte* dst) {
  if (update_shape.count() == 0) return;
  const int rank = update_shape.rank();
  const Strides strides = strides_of(dst_shape);
  const int64_t size = dst_shape[static_cast<size_t>(axis)], axis_stride = strides[static_cast<size_t>(axis)];
  const int64_t count = update_shape.count();
  with_update(type, reduction, [&]<class T>(std::type_identity<T>, auto update) {
    const T* from = reinterpret_cast<const T*>(updates);
    T* to = reinterpret_cast<T*>(dst);
    InlineVector<int64_t, 6> at(static_cast<size_t>(rank));
    int64_t base = 0;
    for (int64_t i = 0; i < count; ++i) {
      update(to[base + indices.at(i, size) * axis_stride], from[i]);
      for (int d = rank - 1; d >= 0; --d) {
        const auto dim = static_cast<size_t>(d);
        const int64_t stride = d == axis ? 0 : strides[dim];
        base += stride;
        if (++at[dim] < update_shape[dim]) break;
        base -= at[dim] * stride;
        at[dim] = 0;
      }
    }
  });
}

void scatter_tuples(const TupleSlices& slices, Reduction reduction, Indices indices, const std::byte* updates,
                    std::byte* dst) {
  with_update(slices.type, reduction, [&]<class T>(std::type_identity<T>, auto update) {
    const T* from = reinterpret_cast<const T*>(updates);
    T* to = reinterpret_cast<T*>(dst);
    for (int64_t tuple = 0; tuple < slices.tuples; ++tuple) {
      T* slice = to + slices.offset(indices, tuple);
      for (int64_t i = 0; i < slices.inner; ++i) update(slice[i], from[tuple * slices.inner + i]);
    }
  });
}

}  // namespace fastort::kernels
