#pragma once

#include "ops/gpu.h"

// Recipes of quantized products and weights.
namespace fastort::quantized {

extern const GpuRecipe kGpuQGemm;
extern const GpuRecipe kGpuToFloat;         // MatMulIntegerToFloat
extern const GpuRecipe kGpuDynamicProduct;  // DynamicQuantizeMatMul
extern const GpuRecipe kGpuNBits;           // MatMulNBits

}  // namespace fastort::quantized
