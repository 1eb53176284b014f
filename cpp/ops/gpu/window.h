#pragma once

#include <array>

#include "kernels/conv/conv_shape.h"
#include "kernels/pool.h"
#include "ops/gpu.h"

// Windows over up to three spatial dimensions in the push block of shaders/common/window.glsl.
namespace fastort::gpu {

void push_window(GpuPush& push, int64_t count, const kernels::PoolShape& shape);
void push_window(GpuPush& push, int64_t count, const kernels::ConvShape& shape);

// shaders/conv_any.comp. The epilogue is the forward form's alone, but for the bias.
Refusal add_conv_any(GpuWork& work, const kernels::ConvShape& shape, const kernels::ConvEpilogue& epilogue,
                     bool transposed, std::vector<GpuOperand> operands, const GpuTraits& traits);

}  // namespace fastort::gpu
