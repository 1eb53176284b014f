#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor/dispatch.h"

namespace fastort::kernels {

// Bulk conversion, round to nearest even.
void widen(const Float16* src, float* dst, int64_t n);
void widen(const BFloat16* src, float* dst, int64_t n);
void narrow(const float* src, Float16* dst, int64_t n);
void narrow(const float* src, BFloat16* dst, int64_t n);
// By type; `type` is Float16 or BFloat16.
void widen(DataType type, const void* src, float* dst, int64_t n);
void narrow(DataType type, const float* src, void* dst, int64_t n);

// Elements that are converted at a time where a kernel computes in float32: 2 KB, well inside L1.
inline constexpr int64_t kHalfBlock = 512;

}  // namespace fastort::kernels
