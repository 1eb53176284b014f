#pragma once

#include "kernels/move/strided_copy.h"
#include "ops/gpu.h"

namespace fastort::gpu {

// A copy along strides as a dispatch of shaders/strided.comp; nothing where there are no elements.
Refusal add_copy(GpuWork& work, const kernels::StridedCopy& copy, GpuOperand source, GpuOperand destination,
                 const GpuTraits& traits);

// Operators that copy input 0 to output 0.
template <kernels::StridedCopy (*make)(const OpContext&)>
Refusal copy_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return add_copy(work, make(context), GpuWork::input(0), GpuWork::output(0), traits);
}
template <kernels::StridedCopy (*make)(const OpContext&)>
inline constexpr GpuRecipe kCopy{kAllTypes, copy_work<make>};

}  // namespace fastort::gpu
