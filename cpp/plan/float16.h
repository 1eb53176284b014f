#pragma once

#include "plan/device.h"

namespace fastort {

// A tensor of float32, float16 or bfloat16 as one of another of these types, converted when somebody reads it; numbers
// that float16 cannot hold become its largest ones. The tensor itself where it has the type.
Tensor as_float_type(const Tensor& tensor, DataType type);

// A call that converts `count` numbers of a tensor of input 0 into output 0: float32 to a narrower type, or back.
GpuWork conversion(int64_t count, DataType from, DataType to, const GpuTraits& traits);

// Why the device cannot convert bfloat16.
Refusal refuse_bfloat16(const GpuTraits& traits);

}  // namespace fastort
