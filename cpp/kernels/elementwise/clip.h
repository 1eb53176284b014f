#pragma once

#include <cstdint>

#include "tensor/data_type.h"

namespace fastort::kernels {

// dst[i] = min(max(src[i], *low), *high); `low` and `high` are elements of the type, or nullptr for no bound.
using ClipFn = void (*)(const void* src, void* dst, int64_t n, const void* low, const void* high);
ClipFn clip(DataType type);

}  // namespace fastort::kernels
