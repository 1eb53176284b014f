#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "tensor/shape.h"

namespace fastort::kernels {

// Copies a tensor of rank >= 3 from one layout to another. Channels that the destination pads are written as zeros.
// `src` and `dst` hold physical_count() elements of `element_size` bytes (1, 2, 4, 8 or 16) and do not overlap.
void reorder(const std::byte* src, Layout from, std::byte* dst, Layout to, const Shape& shape, size_t element_size,
             const Parallel& parallel);

}  // namespace fastort::kernels
