#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

enum class ReduceOp : uint8_t { Sum, Mean, Max, Min, Prod, L1, L2, LogSum, LogSumExp, SumSquare };

// A tensor as the sizes of neighbouring dimensions, merged where all are kept or all are reduced.
struct ReduceDims {
  InlineVector<int64_t, 8> sizes;
  bool first_reduced = false;  // dimensions take turns: reduced, kept, reduced, ...
  int64_t kept = 1;            // elements of the result
  int64_t reduced = 1;         // elements of each sum

  // `reduce[d]` says whether dimension d is reduced.
  static ReduceDims of(const Shape& shape, std::span<const uint8_t> reduce);
  bool is_reduced(size_t i) const { return (i % 2 == 0) == first_reduced; }
};

// Any operator that is made of sums, products or extremes of float32; LogSumExp where one run of dimensions is
// reduced. Sums are added up in blocks, so that the error does not grow with the number of elements.
bool reduces_in_vectors(ReduceOp op, const ReduceDims& dims);
// Scratch that `reduce_f32` needs, in bytes.
size_t reduce_workspace(ReduceOp op, const ReduceDims& dims);
void reduce_f32(ReduceOp op, const ReduceDims& dims, const float* src, float* dst, std::byte* workspace,
                const Parallel& parallel);

// Any type, one result at a time; float16 and bfloat16 are added in float.
using ReduceFn = void (*)(const ReduceDims& dims, const void* src, void* dst, const Parallel& parallel);
ReduceFn reduce_any(ReduceOp op, DataType type);

}  // namespace fastort::kernels
