#pragma once

#include "ops/gpu.h"

// Shaders that walk rows: elements of [outer, n, inner] along the middle (shaders/common/rows.glsl).
namespace fastort::gpu {

struct Rows {
  int64_t outer = 1, n = 1, inner = 1;
  int64_t count() const { return outer * inner; }
};
// The rows along one axis.
Rows rows_along(const Shape& shape, int axis);

// A group for each row, where rows lie dense, or an invocation for each. The shader's constants go on with `more`; its
// push block begins with rows, n and, for shaders that take other rows than dense ones, inner.
GpuDispatch& add_rows(GpuWork& work, std::string_view shader, const Rows& rows, std::vector<uint32_t> more,
                      std::vector<GpuOperand> operands, const GpuTraits& traits, bool push_inner = true);

// Normalisation of dense rows, as in shaders/norm.comp.
struct Norm {
  int64_t rows = 0, n = 0;
  bool rms = false;
  float epsilon = 0;
  int64_t skip_count = 1;
  // Scale and bias by the place in the row, or (step > 0) by the channel: element / step % period.
  int64_t scale_step = 0, scale_period = 1;
  GpuOperand y, x, scale, bias, mean, inv_std, skip, skip_bias, sum;
};
void add_norm(GpuWork& work, const Norm& norm, const GpuTraits& traits);

}  // namespace fastort::gpu
