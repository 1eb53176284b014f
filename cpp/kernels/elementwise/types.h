#pragma once

#include <cstdint>
#include <type_traits>

#include "tensor/dispatch.h"

namespace fastort::kernels {

template <class F>
auto dispatch_int(DataType type, F&& f) {
  return dispatch(IntList{}, type, f);
}

// Unsigned type in which the arithmetic of T wraps around without promotion to int.
template <class T>
using WrapType = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;

}  // namespace fastort::kernels
