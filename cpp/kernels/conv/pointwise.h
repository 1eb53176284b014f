#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// Convolution with a 1x1 kernel and stride 1 of maps in blocks of 8 or 16 channels, which may multiply each channel of
// each image by a factor on its way in (the gate of a squeeze-and-excitation block).
class PointwiseConv {
 public:
  // `shape` has a 1x1 kernel, stride 1, one group and no pads.
  PointwiseConv(const ConvShape& shape, const ConvEpilogue& epilogue, bool gated, int block, int threads);

  size_t weights_bytes() const;
  // From ONNX's [M,C,1,1].
  void pack_weights(const float* weights, float* dst) const;
  size_t workspace_bytes() const;

  // `gate` lies as a map of one pixel does; it is read where the convolution is gated.
  void run(const float* src, const float* weights, const float* bias, const float* residual, const float* gate,
           float* dst, std::byte* workspace, const Parallel& parallel) const;

 private:
  ConvEpilogue epilogue_;
  bool gated_;
  int block_, threads_;
  int64_t batch_, pixels_, channels_, out_channels_;
  int64_t in_padded_, out_padded_;  // channels
  int64_t panels_, depth_;          // channels that are summed at a time
  int64_t parts_, part_pixels_;     // of an image
  int64_t panel_parts_;
  std::vector<int32_t> offsets_;  // of a part's pixels
};

// Weights [M,C] as panels [C][width]; what is beyond M is zero.
void pack_pointwise(const float* weights, int64_t out_channels, int64_t channels, int block, float* dst);

}  // namespace fastort::kernels
