#pragma once

#include <cstdint>

#include "kernels/activation.h"

// The inner loops of convolutions whose maps lie in blocks of 8 or 16 channels.
namespace fastort::kernels {

// Output channels that are computed together; the last panel may be half as wide where blocks have 8 channels.
inline constexpr int kBlockedPanel = 16;
constexpr int64_t blocked_panels(int64_t channels) { return (channels + kBlockedPanel - 1) / kBlockedPanel; }
constexpr int blocked_panel_width(int64_t channels, int64_t panel, int block) {
  return channels - panel * kBlockedPanel <= block ? block : kBlockedPanel;
}

// Panels that gain by being computed together, so that what is loaded of a pixel serves for several vectors.
int blocked_panel_group(int block);

// A 1x1 convolution of some pixels to one panel of output channels, or to a group of whole ones.
struct PointwiseRun {
  const float* src = nullptr;  // the first pixel; each pixel has `block` floats
  int64_t src_block = 0;       // floats between blocks of channels
  int64_t channels = 0;
  const float* weights = nullptr;       // [channels][width]
  int width = 0;                        // of a panel, padding included
  int panels = 1;                       // or blocked_panel_group()
  int64_t weights_panel = 0;            // floats between the weights of two panels
  const float* next_weights = nullptr;  // as many that will be wanted next; nullptr: not known
  const float* bias = nullptr;          // [panels * width]
  const int32_t* offsets = nullptr;     // of each pixel in dst and in the residual
  int64_t dst_block = 0;                // floats between blocks of channels in dst and in the residual
  int64_t pixels = 0;
  const float* residual = nullptr;  // may be dst, whose sums are then continued
  float* dst = nullptr;
  ActivationSpec activation;
};
void pointwise_run(const PointwiseRun& run, int block);

// One row of outputs of a depthwise convolution, or two adjacent ones, for one panel of channels.
struct DepthwiseRows {
  const float* const* rows = nullptr;  // those of the input that it reads: [pixel][width], left padding included
  int64_t kernel_height = 0, kernel_width = 0;
  int64_t stride = 1, dilation = 1;  // of columns; the stride is 1 or 2
  int64_t out_rows = 1;              // 2 only where depthwise_pairs says so
  const float* weights = nullptr;    // [tap][width]
  int width = 0;                     // of the panel, padding included
  const float* bias = nullptr;       // [width]
  float* dst = nullptr;              // pixels of `block` floats
  int64_t dst_block = 0;             // floats between blocks of channels
  int64_t dst_row = 0;               // floats between rows
  int64_t pixels = 0;                // of a row
  int64_t channels = 0;              // of the panel that exist; the others are written as zeros
  const float* residual = nullptr;   // with the places of dst
  float* sums = nullptr;             // [width]: the outputs are added to it
  ActivationSpec activation;
};
void depthwise_rows(const DepthwiseRows& run, int block);

// Whether two rows of outputs may be made at once, and gain from the inputs that they share.
constexpr bool depthwise_pairs(int64_t kernel_height, int64_t kernel_width, int64_t stride_y, int64_t stride_x,
                               int64_t dilation_y, int64_t dilation_x) {
  return kernel_height == kernel_width && stride_y == stride_x && dilation_y == 1 && dilation_x == 1 &&
         ((kernel_width == 3 && stride_x == 1) || (kernel_width == 5 && stride_x <= 2));
}

// dst[i] = src[i] * scale[i % block] for whole pixels.
void scale_pixels(const float* src, const float* scale, int64_t pixels, int block, float* dst);

// Copies pixels of `block` floats to places `dst_pixel` floats apart.
void spread_pixels(const float* src, int64_t pixels, int block, float* dst, int64_t dst_pixel);

// Sets all but the first `channels` of each pixel of `block` floats to zero.
void clear_channels(float* dst, int64_t pixels, int block, int64_t channels);

}  // namespace fastort::kernels
