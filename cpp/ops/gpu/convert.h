#pragma once

#include "ops/gpu.h"

namespace fastort::gpu {

// A conversion between any two real types (shaders/cast_any.comp); `saturate` is that of the narrow floats.
Refusal add_convert(GpuWork& work, DataType from, DataType to, int64_t count, bool saturate, const GpuTraits& traits);

}  // namespace fastort::gpu
