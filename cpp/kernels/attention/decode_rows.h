#pragma once

#include <cstdint>

#include "tensor/data_type.h"

namespace fastort::kernels {

// Rows of K or V that several queries read: `count` rows of `size` adjacent items, `stride` items from one to the next,
// in float, float16 or bfloat16.
struct RowBlock {
  DataType type;
  const void* data;
  int64_t stride, count, size;
};

// scores[i * score_stride + k] = q[i * size ...] * row k, for `queries` queries.
void dot_rows(const float* q, int64_t queries, const RowBlock& rows, float* scores, int64_t score_stride);
// sums[i * size ...] += weights[i * weight_stride + k] * row k, over all k.
void add_weighted_rows(const float* weights, int64_t weight_stride, int64_t queries, const RowBlock& rows, float* sums);

}  // namespace fastort::kernels
