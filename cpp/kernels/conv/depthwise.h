#pragma once

#include <cstddef>

#include "base/inline_vector.h"
#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// Depthwise convolution of row-major float32 maps with one or two spatial dimensions. Each plane is copied into a
// padded form whose columns are sorted by their remainder modulo the stride, so that every tap reads adjacent columns.
class DepthwiseConv {
 public:
  // `shape` has as many groups as input and output channels, and pads that are not negative.
  DepthwiseConv(const ConvShape& shape, const ConvEpilogue& epilogue, int threads);

  size_t workspace_bytes() const;
  // src [N,C,H,W], weights [C,1,KH,KW], dst [N,C,OH,OW].
  void run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
           float* workspace, const Parallel& parallel) const;

  // One axis pair of the problem, for the kernel.
  struct Plane {
    int64_t height, width, out_height, out_width, kernel_height, kernel_width;
    int64_t stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
    int64_t rows;                      // of the padded form
    int64_t phase_width;               // columns of each remainder, with room to read beyond the last output
    InlineVector<int64_t, 8> offsets;  // of each column of the kernel in a padded row
    ActivationSpec activation;
  };

 private:
  Plane plane_;
  ConvEpilogue epilogue_;
  int64_t planes_, channels_;
  int threads_;
};

}  // namespace fastort::kernels
