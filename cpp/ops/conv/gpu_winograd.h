#pragma once

#include "ops/conv/conv.h"

namespace fastort::conv {

// Winograd's F(2x2, 3x3) on a GPU, in float32: maps and weights are transformed, 16 products take the place of the
// convolution, and their result is transformed back. False where the device's other kernels serve better.
bool add_winograd(const OpContext& context, const Problem& problem, const GpuTraits& traits, GpuWork& work);

}  // namespace fastort::conv
