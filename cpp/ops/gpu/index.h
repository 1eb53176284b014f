#pragma once

#include "kernels/move/index.h"
#include "ops/gpu.h"

// Elements and slices that indices name. Indices that are out of range are reported by the shaders.
namespace fastort::gpu {

// The inputs are data and indices, whose shapes were checked.
Refusal add_gather_elements(const OpContext& context, const GpuTraits& traits, GpuWork& work, int axis);
Refusal add_gather_nd(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                      const kernels::TupleSlices& slices);
// The inputs are data, indices and updates.
Refusal add_scatter_elements(const OpContext& context, const GpuTraits& traits, GpuWork& work, int axis,
                             kernels::Reduction reduction);
Refusal add_scatter_nd(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                       const kernels::TupleSlices& slices, kernels::Reduction reduction);

}  // namespace fastort::gpu
