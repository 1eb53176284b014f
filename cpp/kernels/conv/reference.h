#pragma once

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

// The plain convolution on row-major tensors, for float, double, Float16 and BFloat16 (the last two add up in float).
// src [N,C,...], weights [M,C/groups,...], bias [M] or nullptr, residual like dst or nullptr, dst [N,M,...].
template <class T>
void conv_reference(const ConvShape& shape, const ActivationSpec& activation, const T* src, const T* weights,
                    const T* bias, const T* residual, T* dst, const Parallel& parallel);

extern template void conv_reference(const ConvShape&, const ActivationSpec&, const float*, const float*, const float*,
                                    const float*, float*, const Parallel&);
extern template void conv_reference(const ConvShape&, const ActivationSpec&, const double*, const double*,
                                    const double*, const double*, double*, const Parallel&);
extern template void conv_reference(const ConvShape&, const ActivationSpec&, const Float16*, const Float16*,
                                    const Float16*, const Float16*, Float16*, const Parallel&);
extern template void conv_reference(const ConvShape&, const ActivationSpec&, const BFloat16*, const BFloat16*,
                                    const BFloat16*, const BFloat16*, BFloat16*, const Parallel&);

}  // namespace fastort::kernels
