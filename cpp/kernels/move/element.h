#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/error.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

struct Bytes16 {
  uint64_t low = 0, high = 0;
};

// Elements that are only moved: an unsigned integer of their size, or a string.
template <class F>
decltype(auto) with_element_size(size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f(std::type_identity<uint8_t>{});
    case 2:
      return f(std::type_identity<uint16_t>{});
    case 4:
      return f(std::type_identity<uint32_t>{});
    case 8:
      return f(std::type_identity<uint64_t>{});
    case 16:
      return f(std::type_identity<Bytes16>{});
    default:
      fail(ErrorCode::NotImplemented, "elements of " + std::to_string(bytes) + " bytes cannot be moved");
  }
}

template <class F>
decltype(auto) with_element(DataType type, F&& f) {
  if (type == DataType::String) return f(std::type_identity<std::string>{});
  return with_element_size(element_size(type), f);
}

// Copies `count` neighbours. Memory of the caller's may be aligned to less than a widened element.
template <class T>
void copy_run(const T* src, T* dst, int64_t count) {
  if constexpr (std::is_trivially_copyable_v<T>) {
    if (count > 0) std::memcpy(dst, src, static_cast<size_t>(count) * sizeof(T));
  } else {
    for (int64_t i = 0; i < count; ++i) dst[i] = src[i];
  }
}

template <class T>
void copy_one(const T* src, T* dst) {
  if constexpr (std::is_trivially_copyable_v<T>) {
    std::memcpy(dst, src, sizeof(T));
  } else {
    *dst = *src;
  }
}

// Elements of one thread's piece of work that is worth handing out.
template <class T>
constexpr int64_t move_grain() {
  return (32 << 10) / static_cast<int64_t>(sizeof(T));
}

}  // namespace fastort::kernels
