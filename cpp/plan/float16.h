#pragma once

#include "plan/device.h"

namespace fastort {

// A tensor of float32 or float16 as one of the other type, converted when somebody reads it; numbers that float16
// cannot hold become its largest ones. The tensor itself where it has the type.
Tensor as_float_type(const Tensor& tensor, DataType type);

// A call that converts `count` numbers of a tensor of input 0 into output 0.
GpuWork conversion(int64_t count, bool to_half, const GpuTraits& traits);

}  // namespace fastort
