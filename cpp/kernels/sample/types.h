#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

// Arithmetic on elements is done in float, and in double where float would lose digits.
template <class T>
using Accumulator =
    std::conditional_t<std::is_same_v<T, double> || (std::is_integral_v<T> && sizeof(T) >= 4), double, float>;

template <class T>
Accumulator<T> load_number(T value) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    return to_float(value);
  } else {
    return static_cast<Accumulator<T>>(value);
  }
}

// Fractions of integers are cut off, and what is out of range becomes the end of the range.
template <class T>
T store_number(Accumulator<T> value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return to_float16(value);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(value);
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    if (!(value > static_cast<Accumulator<T>>(Limits::min()))) return Limits::min();
    if (value >= static_cast<Accumulator<T>>(Limits::max())) return Limits::max();
    return static_cast<T>(value);
  } else {
    return value;
  }
}

template <class F>
decltype(auto) with_sampled_type(DataType type, F&& f) {
  switch (type) {
    case DataType::Float:
      return f(std::type_identity<float>{});
    case DataType::Double:
      return f(std::type_identity<double>{});
    case DataType::Float16:
      return f(std::type_identity<Float16>{});
    case DataType::BFloat16:
      return f(std::type_identity<BFloat16>{});
    case DataType::Int8:
      return f(std::type_identity<int8_t>{});
    case DataType::Int16:
      return f(std::type_identity<int16_t>{});
    case DataType::Int32:
      return f(std::type_identity<int32_t>{});
    case DataType::Int64:
      return f(std::type_identity<int64_t>{});
    case DataType::UInt8:
      return f(std::type_identity<uint8_t>{});
    case DataType::UInt16:
      return f(std::type_identity<uint16_t>{});
    case DataType::UInt32:
      return f(std::type_identity<uint32_t>{});
    case DataType::UInt64:
      return f(std::type_identity<uint64_t>{});
    default:
      not_implemented("sampling between elements of type " + std::string(name(type)));
  }
}

}  // namespace fastort::kernels
