#pragma once

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// A pointwise convolution of maps of one pixel, as in squeeze-and-excitation blocks:
// dst[n,m] = activation(bias[m] + residual[n,m] + sum over c of weights[m,c] * src[n,c]), all row-major.
void conv_vector(const ConvShape& shape, const ActivationSpec& activation, const float* src, const float* weights,
                 const float* bias, const float* residual, float* dst, const Parallel& parallel);

}  // namespace fastort::kernels
