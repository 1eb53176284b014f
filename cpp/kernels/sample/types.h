#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/dispatch.h"

namespace fastort::kernels {

// Arithmetic on elements is done in float, and in double where float would lose digits.
template <class T>
using Accumulator = std::conditional_t<
    kIsComplex<T>, T,
    std::conditional_t<std::is_same_v<T, double> || (std::is_integral_v<T> && sizeof(T) >= 4), double, float>>;

template <class T>
Accumulator<T> load_number(T value) {
  return static_cast<Accumulator<T>>(widened(value));
}

// Fractions of integers are cut off, and what is out of range becomes the end of the range.
template <class T>
T store_number(Accumulator<T> value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    if (!(value > static_cast<Accumulator<T>>(Limits::min()))) return Limits::min();
    if (value >= static_cast<Accumulator<T>>(Limits::max())) return Limits::max();
    return static_cast<T>(value);
  } else {
    return rounded<T>(value);
  }
}

template <class F>
decltype(auto) with_sampled_type(DataType type, F&& f) {
  return with_type(Joined<RealList, ComplexList>{}, "sampling", type, f);
}

}  // namespace fastort::kernels
