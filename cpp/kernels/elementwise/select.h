#pragma once

#include <cstddef>
#include <cstdint>

namespace fastort::kernels {

// dst[i] = condition[i] ? x[i] : y[i] for elements of `item` bytes (1, 2, 4, 8 or 16); a step is 0 or 1.
using SelectFn = void (*)(const uint8_t* condition, int64_t condition_step, const void* x, int64_t x_step,
                          const void* y, int64_t y_step, void* dst, int64_t n);
SelectFn select(size_t item);

}  // namespace fastort::kernels
