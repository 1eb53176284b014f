#pragma once

#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort::kernels {

// How one dimension is resized: output i is the sum of weight[i * taps + k] * input[index[i * taps + k]]. An output
// with an index of -1 takes the extrapolation value instead.
struct ResizeAxis {
  int axis = 0;
  int64_t in = 0, out = 0;
  int taps = 1;
  std::vector<int64_t> index;
  std::vector<double> weight;  // empty for nearest: one tap of weight 1
};

enum class ResizeMode : uint8_t { Nearest, Linear, Cubic };
enum class NearestMode : uint8_t { RoundPreferFloor, RoundPreferCeil, Floor, Ceil };
enum class CoordinateMode : uint8_t {
  HalfPixel,
  HalfPixelSymmetric,
  PytorchHalfPixel,
  AlignCorners,
  Asymmetric,
  TfCropAndResize
};

struct ResizeOptions {
  ResizeMode mode = ResizeMode::Nearest;
  NearestMode nearest = NearestMode::RoundPreferFloor;
  CoordinateMode coordinates = CoordinateMode::HalfPixel;
  bool antialias = false, exclude_outside = false;
  double cubic_a = -0.75;
  double extrapolation = 0;
};

// The table for one dimension. `scaled` is the size that was asked for, before it was rounded to `out`; the region of
// interest is a part of [0, 1].
ResizeAxis resize_axis(const ResizeOptions& options, int axis, int64_t in, int64_t out, double scaled,
                       double roi_start = 0, double roi_end = 1);

// Resizes dimension after dimension.
class Resize {
 public:
  Resize(DataType type, const Shape& src, std::vector<ResizeAxis> axes, const ResizeOptions& options);
  size_t workspace_bytes() const { return workspace_bytes_; }
  void run(const std::byte* src, std::byte* dst, std::byte* workspace, const Parallel& parallel) const;

 private:
  template <class T>
  void run_nearest(const T* src, T* dst, const Parallel& parallel) const;
  template <class T, class Acc>
  void run_weighted(const T* src, T* dst, std::byte* workspace, const Parallel& parallel) const;

  DataType type_;
  Shape src_;
  Shape dst_;
  std::vector<ResizeAxis> axes_;
  bool nearest_;
  double extrapolation_;
  int64_t scratch_ = 0;  // elements of each of the two buffers between the dimensions
  size_t workspace_bytes_ = 0;
};

}  // namespace fastort::kernels
