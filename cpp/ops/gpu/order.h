#pragma once

#include "kernels/arg.h"
#include "ops/gpu.h"

// Shaders that order or accumulate along one axis, for every number type.
namespace fastort::gpu {

// int64 indices of the most extreme elements.
Refusal add_arg(GpuWork& work, DataType type, const kernels::AxisView& view, bool smallest, bool last,
                GpuOperand result, const GpuTraits& traits);
Refusal add_top_k(const OpContext& context, GpuWork& work, const kernels::AxisView& view, int64_t k, bool largest,
                  const GpuTraits& traits);
Refusal add_scan(GpuWork& work, DataType type, const kernels::AxisView& view, const kernels::Scan& scan,
                 const GpuTraits& traits);
// [outer, depth, inner] out of indices [outer, inner]; `values` holds the elements off and on.
Refusal add_one_hot(GpuWork& work, DataType index_type, DataType type, const kernels::AxisView& view,
                    GpuOperand indices, GpuOperand values, const GpuTraits& traits);

}  // namespace fastort::gpu
