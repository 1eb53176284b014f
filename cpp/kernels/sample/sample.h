#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

enum class SampleMode : uint8_t { Nearest, Linear, Cubic };
enum class SamplePadding : uint8_t { Zeros, Border, Reflection };

// ONNX GridSample: src [N,C,D1,...,Dn], grid [N,E1,...,En,n], dst [N,C,E1,...,En], for n of at most 6.
struct GridSample {
  static constexpr int kMaxDims = 6;
  DataType type, grid_type;
  Shape src, grid;
  SampleMode mode;
  SamplePadding padding;
  bool align_corners;
  void run(const std::byte* src_data, const std::byte* grid_data, std::byte* dst, const Parallel& parallel) const;
};

// ONNX RoiAlign for float and double: src [N,C,H,W], rois [R,4], batches [R], dst [R,C,height,width].
struct RoiAlign {
  DataType type;
  Shape src;
  int64_t rois, height, width, sampling_ratio;
  double spatial_scale;
  bool half_pixel, maximum;
  void run(const std::byte* src_data, const std::byte* roi_data, const int64_t* batches, std::byte* dst,
           const Parallel& parallel) const;
};

// ONNX Col2Im: src [N, C * block, L], dst [N, C, image...]; blocks that overlap are added.
struct Col2Im {
  DataType type;
  int64_t outer;  // N * C
  Shape image, block, strides, dilations, pads_begin;
  Shape windows;  // positions of the block in each dimension; their product is L
  void run(const std::byte* src, std::byte* dst, const Parallel& parallel) const;
};

}  // namespace fastort::kernels
