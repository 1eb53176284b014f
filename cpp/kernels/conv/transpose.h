#pragma once

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

// The transposed convolution, whose output (`shape.out`) is larger than its input: src [N,C,...],
// weights [C,M/groups,...], bias [M] or nullptr, dst [N,M,...]. Tap k of input i adds to output
// i * stride + k * dilation - pad_begin.

// Plain loops, for float, double, Float16 and BFloat16 (the last two add up in float).
template <class T>
void conv_transpose_reference(const ConvShape& shape, const T* src, const T* weights, const T* bias, T* dst,
                              const Parallel& parallel);

extern template void conv_transpose_reference(const ConvShape&, const float*, const float*, const float*, float*,
                                              const Parallel&);
extern template void conv_transpose_reference(const ConvShape&, const double*, const double*, const double*, double*,
                                              const Parallel&);
extern template void conv_transpose_reference(const ConvShape&, const Float16*, const Float16*, const Float16*,
                                              Float16*, const Parallel&);
extern template void conv_transpose_reference(const ConvShape&, const BFloat16*, const BFloat16*, const BFloat16*,
                                              BFloat16*, const Parallel&);

// Adds up the columns [channels * taps, input pixels] of one image and group: `dst` are `channels` planes, each set to
// its bias (or zero) first.
void col2im(const ConvShape& shape, int64_t channels, const float* columns, const float* bias, float* dst,
            const Parallel& parallel);

}  // namespace fastort::kernels
