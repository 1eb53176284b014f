#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"
#include "kernels/gemm/igemm.h"

namespace fastort::kernels {

// How the sums of an integer convolution become its results: byte = clamp(round(sum * scale)) + zero. Padded pixels
// stand for the zero point of the source.
struct QuantizedConvOutput {
  bool is_signed = false;
  std::vector<int32_t> bias;  // one for each output channel
  std::vector<float> scales;  // likewise
  float low = 0, high = 0;    // bounds before `zero` is added
  int32_t zero = 0;
};

// The weights of a convolution as ONNX has them, [M, C / groups, taps...].
struct QuantizedConvWeights {
  const std::byte* data = nullptr;
  bool is_signed = true;
  std::vector<int32_t> zeros;  // one for each output channel
};

// A convolution of bytes in channels-last layout: a matrix product on rows that are gathered block by block, or on the
// source itself where these lie in it. Exact: the same numbers on every processor.
class QuantizedConv {
 public:
  QuantizedConv(const ConvShape& shape, bool src_signed, int32_t src_zero, const QuantizedConvWeights& weights,
                QuantizedConvOutput output, int threads);

  // How the weights are packed, for the name of their form.
  const IgemmWeights& packing() const { return packing_; }
  size_t weights_bytes() const { return static_cast<size_t>(shape_.groups) * group_bytes(); }
  void pack_weights(const QuantizedConvWeights& weights, std::byte* dst) const;
  size_t workspace_bytes() const;
  void run(const std::byte* src, const std::byte* weights, std::byte* dst, std::byte* workspace,
           const Parallel& parallel) const;

 private:
  size_t group_bytes() const;
  size_t thread_bytes() const;
  void run_block(const std::byte* src, const std::byte* weights, std::byte* dst, int64_t job, std::byte* rows) const;

  ConvShape shape_;
  bool src_signed_;
  int32_t src_zero_;
  QuantizedConvOutput output_;  // arrays padded to whole panels, group by group
  int threads_;
  IgemmWeights packing_;  // of each group
  bool in_place_ = false;
  int64_t row_block_ = 0, row_blocks_ = 0, col_block_ = 0, col_blocks_ = 0, padded_cols_ = 0;
};

class DepthwiseQuads;

// The same for as many groups as channels.
class QuantizedDepthwise {
 public:
  QuantizedDepthwise(const ConvShape& shape, bool src_signed, int32_t src_zero, const QuantizedConvWeights& weights,
                     const QuantizedConvOutput& output);

  size_t workspace_bytes() const;
  void run(const std::byte* src, std::byte* dst, std::byte* workspace, const Parallel& parallel) const;

  // Channels are taken in blocks of one vector; the last block may overlap the one before.
  struct Plan {
    int64_t channels = 0, blocks = 0, taps = 0, pairs = 0;
    std::vector<int16_t> weights;  // [block][pair of taps][two vectors]
    std::vector<int32_t> bias;     // [block][two vectors]
    std::vector<float> scales;     // likewise
    float low = 0, high = 0;
    int32_t zero = 0;
    bool src_signed = false, dst_signed = false;
  };
  struct Sizes {
    int64_t height, width, out_height, out_width, kernel_height, kernel_width;
    int64_t stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
  };
  // Taps that a kernel may have.
  static constexpr int64_t kMaxTaps = 128;

 private:
  int64_t batch_;
  int32_t src_zero_;
  Sizes sizes_{};
  Plan plan_;
  std::shared_ptr<const DepthwiseQuads> quads_;  // nullptr where these do not serve
};

}  // namespace fastort::kernels
