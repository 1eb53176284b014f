#pragma once

#include <array>
#include <cstdint>

#include "kernels/activation.h"

namespace fastort::kernels {

// A convolution with concrete sizes. Spatial arrays hold the last `rank` dimensions at their front.
struct ConvShape {
  static constexpr int kMaxRank = 3;
  using Spatial = std::array<int64_t, kMaxRank>;

  int rank = 2;
  int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  Spatial in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Spatial pad_begin{}, pad_end{};

  static int64_t product(const Spatial& s) { return s[0] * s[1] * s[2]; }
  int64_t in_pixels() const { return product(in); }
  int64_t out_pixels() const { return product(out); }
  int64_t taps() const { return product(kernel); }
  int64_t in_group() const { return in_channels / groups; }
  int64_t out_group() const { return out_channels / groups; }
  // Multiply-adds of the direct method.
  double macs() const {
    return static_cast<double>(batch) * static_cast<double>(out_channels) * static_cast<double>(out_pixels()) *
           static_cast<double>(in_group()) * static_cast<double>(taps());
  }
  bool depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
  bool all(const Spatial& values, int64_t expected) const {
    for (int i = 0; i < rank; ++i)
      if (values[static_cast<size_t>(i)] != expected) return false;
    return true;
  }
  // Whether a result's pixel reads the one in its own place.
  bool pointwise() const { return taps() == 1 && all(stride, 1) && all(pad_begin, 0) && all(pad_end, 0); }
};

// What happens to a sum before it is stored: + bias[channel], + residual[same place], then the activation.
struct ConvEpilogue {
  bool bias = false, residual = false;
  ActivationSpec activation;
};

}  // namespace fastort::kernels
