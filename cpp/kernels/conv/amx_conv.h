#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// A convolution of maps in blocks of 16 channels by Intel's matrix unit (kernels/gemm/amx.h), which multiplies tiles of
// 16 pixels and 32 channels. A tile is read where it lies among the parts of the input's pixels, once for each tap, so
// that nothing is copied for them; pixels of the padding take part, and what they give is left out.
class AmxConv {
 public:
  // `shape` has one or two spatial dimensions and one group; for at most so many threads.
  AmxConv(const ConvShape& shape, const ConvEpilogue& epilogue, int threads);

  // About how long it takes.
  double nanoseconds() const noexcept { return nanoseconds(threads_); }

  size_t weights_bytes() const noexcept;
  // From ONNX's [M,C,...].
  void pack_weights(const float* weights, float* dst, const Parallel& parallel) const;
  size_t workspace_bytes() const noexcept;
  // `weights` and `workspace` are aligned to 64 bytes. `gate`: a factor for each channel of each image, as a map of one
  // pixel lies, or nullptr.
  void run(const float* src, const float* weights, const float* bias, const float* residual, const float* gate,
           float* dst, std::byte* workspace, const Parallel& parallel) const;

 private:
  // Along rows and columns; of a convolution with one spatial dimension all rows are one.
  struct Sizes {
    int64_t y, x;
  };
  // Input pixels that a stride steps over are maps of their own, whose pixels are `stride` apart.
  struct Phase {
    Sizes first;  // row and column of its first pixel in the padded input
  };
  struct Worker;
  void cut(int64_t strips, int threads);
  double nanoseconds(int threads) const noexcept;
  uint32_t split(const float* src, const float* gate, float scale, int64_t begin, std::byte* to) const;
  void place(int64_t begin, int64_t count, int64_t* places) const;
  void run_plain(const float* src, const float* gate, struct AmxBlock block, int64_t begin) const;
  Sizes place_of(int64_t position, int64_t& image) const;

  ConvEpilogue epilogue_;
  int threads_;
  int64_t batch_, channels_, out_channels_, blocks_, out_blocks_;
  Sizes in_, out_, kernel_, stride_, dilation_, pad_;
  Sizes pitch_;        // rows of an image and columns of a row among the positions
  int64_t positions_;  // outputs, and what lies between their rows
  std::vector<Phase> phases_;
  std::vector<int64_t> tap_phase_, tap_shift_;  // and how many positions behind the output's own
  int64_t reach_ = 0;                           // the largest shift
  int64_t channel_steps_, steps_, panels_;
  int64_t strip_, strips_;             // positions whose parts are made together
  int64_t block_rows_, panel_groups_;  // of a strip, multiplied at once; into how many items its panels fall
  int64_t held_;                       // positions whose parts a strip holds, of each phase
  std::vector<int64_t> offsets_;       // of the steps in a strip's parts
};

}  // namespace fastort::kernels
