#pragma once

#include <vector>

#include "kernels/move/resize.h"
#include "ops/gpu.h"

namespace fastort::gpu {

// One dimension of a result whose elements come from places of their own in the source: offsets in elements, or below 0
// for none. Without places they are the strides of the source.
struct MappedDim {
  int64_t size = 1, stride = 1;
  std::vector<int64_t> places;
};
// result[i, j, ...] = source[places of i + places of j + ...], or the element `fill` (zero where there is no such
// operand) where a place is missing. From input 0 to output 0.
Refusal add_map(GpuWork& work, DataType type, std::vector<MappedDim> dims, GpuOperand fill, const GpuTraits& traits);

// Resizes dimension after dimension: nearest elements of any type, or weighted sums of float32.
Refusal add_resize(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                   std::vector<kernels::ResizeAxis> axes, const kernels::ResizeOptions& options);

}  // namespace fastort::gpu
