#pragma once

#include "ops/gpu.h"

namespace fastort::gpu {

// A conversion between any two real types (shaders/cast_any.comp); `saturate` is that of the narrow floats.
struct Converted {
  DataType from, to;
  int64_t count = 0;
  GpuOperand result, source;
  bool saturate = true;
};
Refusal add_convert(GpuWork& work, const Converted& converted, const GpuTraits& traits);

}  // namespace fastort::gpu
