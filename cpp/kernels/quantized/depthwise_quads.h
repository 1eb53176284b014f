#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "kernels/quantized/conv.h"

namespace fastort::kernels {

// Depthwise convolutions whose taps are multiplied and added four at a time as bytes (VNNI). The bytes of four
// neighbouring pixels are interleaved once for two results beside each other, each of which has its own weights for
// the four, and for two results below each other.
class DepthwiseQuads {
 public:
  // Empty where the processor, the kernel's size or the weights do not fit.
  DepthwiseQuads() = default;
  DepthwiseQuads(const ConvShape& shape, bool src_signed, int32_t src_zero, const QuantizedConvWeights& weights,
                 const QuantizedConvOutput& output);

  explicit operator bool() const { return !plan_.weights.empty(); }
  // `padding`: as many zero points as there are channels.
  void run(const std::byte* src, const std::byte* padding, std::byte* dst, const Parallel& parallel) const;

  // Vectors of sums for one of bytes.
  static constexpr int kSums = 4;
  struct Plan {
    int64_t batch = 0, channels = 0, height = 0, width = 0, out_height = 0, out_width = 0;
    int64_t kernel_height = 0, stride_y = 0, stride_x = 0, pad_top = 0, pad_left = 0;
    // Channels are taken in blocks of `lanes`, of which the last may overlap the one before.
    int64_t lanes = 0, blocks = 0;
    int64_t quads = 0, columns = 0;  // fours of taps in a row of the kernel; results beside and below each other
    bool flip = false;               // whether the source's bytes are signed
    std::vector<int8_t> weights;     // [block][kernel row][quad][column][vector][lane]
    std::vector<int32_t> bias;       // [block][lane], in the order of the interleaved sums
    std::vector<float> scales;       // likewise
    int16_t zero = 0;
    uint8_t low = 0, high = 0, flip_result = 0;
  };

 private:
  Plan plan_;
};

}  // namespace fastort::kernels
