#pragma once

#include <span>

#include "ops/gpu.h"

namespace fastort::gpu {

// The bytes of one element in every place of a result; with `columns` only on a diagonal of a matrix, `offset` columns
// to the right of the main one, with zeros around it.
Refusal add_fill(GpuWork& work, GpuOperand result, int64_t count, std::span<const std::byte> element,
                 const GpuTraits& traits, int64_t columns = 0, int64_t offset = 0);

}  // namespace fastort::gpu
