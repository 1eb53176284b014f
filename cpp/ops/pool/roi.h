#pragma once

#include "ops/gpu.h"

namespace fastort {

// MaxRoiPool and MaxUnpool, whose positions come from data.
void infer_max_roi_pool(InferContext& context);
std::unique_ptr<Kernel> prepare_max_roi_pool(const OpContext& context);
void infer_max_unpool(InferContext& context);
std::unique_ptr<Kernel> prepare_max_unpool(const OpContext& context);
extern const GpuRecipe kGpuMaxUnpool;

}  // namespace fastort
