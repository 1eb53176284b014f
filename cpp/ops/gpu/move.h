#pragma once

#include <vector>

#include "ops/gpu.h"

namespace fastort::gpu {

// Elements of one type from one strided walk to another over the same dimensions; strides and offsets in elements,
// strides may be negative or 0.
struct StridedCopy {
  DataType type = DataType::Undefined;
  std::vector<int64_t> dims, from, to;
  int64_t from_offset = 0, to_offset = 0;
  GpuOperand source, destination;
};
Refusal add_copy(GpuWork& work, StridedCopy copy, const GpuTraits& traits);

}  // namespace fastort::gpu
