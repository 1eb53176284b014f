#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

// A tensor as [outer, n, inner] around one axis.
struct AxisView {
  int64_t outer, n, inner;
};

// The index of the largest (or smallest) element along the axis; NaN counts as the most extreme. Among equals the
// first, or the last.
using ArgFn = void (*)(const AxisView& view, const void* src, int64_t* dst, bool last, const Parallel& parallel);
ArgFn arg_max(DataType type);
ArgFn arg_min(DataType type);

// The k largest (or smallest) elements along the axis and their indices, in order; equals stand in the order of their
// indices, NaN is larger than every number.
using TopKFn = void (*)(const AxisView& view, int64_t k, bool largest, const void* src, void* values, int64_t* indices,
                        const Parallel& parallel);
TopKFn top_k(DataType type);

// Running sums or products along the axis; `exclusive` leaves out the element itself, `reverse` starts at the end.
struct Scan {
  bool product, exclusive, reverse;
};
using ScanFn = void (*)(const AxisView& view, const Scan& scan, const void* src, void* dst, const Parallel& parallel);
ScanFn scan_along(DataType type);  // float, double and the integers

}  // namespace fastort::kernels
