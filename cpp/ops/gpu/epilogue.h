#pragma once

#include "kernels/activation.h"
#include "kernels/elementwise/unary.h"

namespace fastort::gpu {

// An activation as a function of the shaders' table (shaders/common/epilogue.glsl).
struct EpilogueFunction {
  uint32_t code = 0xffff;  // none
  kernels::UnaryParams params;
};
EpilogueFunction epilogue_function(const ActivationSpec& spec);

}  // namespace fastort::gpu
