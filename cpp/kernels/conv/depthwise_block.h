#pragma once

#include <cstddef>
#include <vector>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// Depthwise convolution of maps in blocks of 8 or 16 channels, with strides of 1 or 2 columns. A 1x1 convolution may
// stand before it: a few of its rows for a few channels are made at a time, and never leave the cache. The mean of each
// channel of the result may be given too.
class DepthwiseBlock {
 public:
  struct Parts {
    bool expand = false;        // the 1x1 convolution before
    int64_t channels = 0;       // that it reads
    ActivationSpec activation;  // that follows it
    bool mean = false;
  };
  // `shape` and `epilogue` are those of the depthwise convolution: rank 2, pads that are not negative.
  DepthwiseBlock(const ConvShape& shape, const ConvEpilogue& epilogue, const Parts& parts, int block, int threads);

  // What `run` reads beside the map. A bias may be left out.
  struct Weights {
    const float* expand = nullptr;  // packed
    const float* expand_bias = nullptr;
    const float* depthwise = nullptr;  // packed
    const float* bias = nullptr;
  };
  size_t expand_bytes() const;
  void pack_expand(const float* weights, float* dst) const;  // from ONNX's [M,C,1,1]
  size_t weights_bytes() const;
  void pack_weights(const float* weights, float* dst) const;  // from ONNX's [M,1,KH,KW]
  size_t workspace_bytes() const;

  // `mean` is [N, channels, padding included].
  void run(const float* src, const Weights& weights, const float* residual, float* dst, float* mean,
           std::byte* workspace, const Parallel& parallel) const;

 private:
  struct Slot;
  struct Band;
  int64_t row_pointers() const;
  int64_t slot_floats() const;
  void run_band(const Slot& slot, const float* src, const Weights& weights, const float* residual, float* dst,
                float* sums, const Band& band) const;
  void produce(const Slot& slot, const float* src, const Weights& weights, const Band& band, int64_t begin,
               int64_t end) const;

  ConvShape shape_;
  ConvEpilogue epilogue_;
  Parts parts_;
  int block_, threads_;
  int64_t padded_, in_padded_, panels_;  // channels
  int64_t pitch_;                        // pixels of a row with its padding
  int64_t ring_;                         // rows that are held
  int64_t pair_rows_;                    // of the output, that are made at once
  std::vector<int32_t> offsets_[2];      // of the ring's pixels, for half and for whole panels
  int64_t group_;                        // panels whose 1x1 convolution is computed at once
  int64_t bands_;                        // of rows of the output, which threads may take
};

}  // namespace fastort::kernels
