#pragma once

#include <cstddef>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

// Row-major operands of a deformable convolution over two spatial dimensions.
template <class T>
struct DeformableArgs {
  const T* src;      // [N,C,H,W]
  const T* weights;  // [M,C/groups,KH,KW]
  const T* offset;   // [N,offset_groups*KH*KW*2,OH,OW], rows before columns
  const T* bias;     // [M] or nullptr
  const T* mask;     // [N,offset_groups*KH*KW,OH,OW] or nullptr
  T* dst;            // [N,M,OH,OW]
};

// Room for the samples of one output pixel for each thread.
size_t deformable_workspace_bytes(const ConvShape& shape, int threads);

// Each tap reads the source bilinearly at its position plus its offset, zero outside, times its mask. For float,
// double, Float16 and BFloat16.
template <class T>
void conv_deformable(const ConvShape& shape, int64_t offset_groups, const DeformableArgs<T>& args, std::byte* workspace,
                     int threads, const Parallel& parallel);

extern template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<float>&, std::byte*, int,
                                     const Parallel&);
extern template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<double>&, std::byte*, int,
                                     const Parallel&);
extern template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<Float16>&, std::byte*, int,
                                     const Parallel&);
extern template void conv_deformable(const ConvShape&, int64_t, const DeformableArgs<BFloat16>&, std::byte*, int,
                                     const Parallel&);

}  // namespace fastort::kernels
