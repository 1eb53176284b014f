#pragma once

#include <vector>

#include "kernels/activation.h"
#include "ops/gpu.h"

namespace fastort::gpu {

// activation(alpha A B + beta addend + residual) for matrices anywhere in memory; sizes and strides in elements.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_step = 1;     // from one row, and one step of k, to the next
  int64_t b_step = 0, b_column = 1;  // from one step of k, and one column, to the next
  // Of each item of the batch. Without a row stride and offsets of C the results follow one another densely.
  std::vector<int64_t> a_offsets, b_offsets, c_offsets;
  int64_t c_row = 0, c_column = 1;
  float alpha = 1, beta = 1;
  uint32_t addend_mode = 0;  // as in shaders/common/epilogue.glsl
  ActivationSpec activation;
  GpuOperand a, b, addend, residual, result;
};

// Whether lines of a matrix begin and end at a multiple of `width` elements, so that they are read in wide words.
bool in_words(int64_t length, int64_t step, int64_t stride, const std::vector<int64_t>& offsets, int64_t width);

Refusal add_gemm(const Gemm& gemm, const GpuTraits& traits, GpuWork& work);

}  // namespace fastort::gpu
