#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor/data_type.h"

namespace fastort::kernels {

template <class T>
struct TypeTag {
  using type = T;
};

// Calls f(TypeTag<T>{}) for the T of the list that `type` names and returns what it returns; else a default result.
template <class... T, class F>
auto dispatch(DataType type, F&& f) {
  using R = std::common_type_t<decltype(f(TypeTag<T>{}))...>;
  R result{};
  (void)((type == kDataTypeOf<T> && (result = f(TypeTag<T>{}), true)) || ...);
  return result;
}

template <class F>
auto dispatch_int(DataType type, F&& f) {
  return dispatch<int32_t, int64_t, uint8_t, int8_t, uint16_t, int16_t, uint32_t, uint64_t>(type, f);
}

// Unsigned type in which the arithmetic of T wraps around without promotion to int.
template <class T>
using WrapType = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;

}  // namespace fastort::kernels
