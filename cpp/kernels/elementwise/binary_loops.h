#pragma once

#include <cstdint>

#include "kernels/elementwise/binary.h"

namespace fastort::kernels {

// The three loops of a function without state.
template <class T, class R, class F>
BinaryFns binary_loops(F) {
  return {[](const void* a, const void* b, void* dst, int64_t n) {
            const T* x = static_cast<const T*>(a);
            const T* y = static_cast<const T*>(b);
            R* z = static_cast<R*>(dst);
            for (int64_t i = 0; i < n; ++i) z[i] = F{}(x[i], y[i]);
          },
          [](const void* a, const void* b, void* dst, int64_t n) {
            const T* x = static_cast<const T*>(a);
            const T y = *static_cast<const T*>(b);
            R* z = static_cast<R*>(dst);
            for (int64_t i = 0; i < n; ++i) z[i] = F{}(x[i], y);
          },
          [](const void* a, const void* b, void* dst, int64_t n) {
            const T x = *static_cast<const T*>(a);
            const T* y = static_cast<const T*>(b);
            R* z = static_cast<R*>(dst);
            for (int64_t i = 0; i < n; ++i) z[i] = F{}(x, y[i]);
          }};
}

}  // namespace fastort::kernels
