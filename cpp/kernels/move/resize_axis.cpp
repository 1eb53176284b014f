#include <algorithm>
#include <cmath>

#include "kernels/move/resize.h"

namespace fastort::kernels {
namespace {

// Keys' cubic convolution kernel.
double cubic(double x, double a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }

// The place of output `i` among the inputs.
double source_position(CoordinateMode mode, int64_t i, int64_t in, int64_t out, double scaled, double roi_start,
                       double roi_end) {
  const double x = static_cast<double>(i), width = static_cast<double>(in);
  switch (mode) {
    case CoordinateMode::HalfPixel:
      return (x + 0.5) * width / scaled - 0.5;
    case CoordinateMode::PytorchHalfPixel:
      return out == 1 ? 0 : (x + 0.5) * width / scaled - 0.5;
    case CoordinateMode::HalfPixelSymmetric:
      return width / 2 * (1 - static_cast<double>(out) / scaled) + (x + 0.5) * width / scaled - 0.5;
    case CoordinateMode::AlignCorners:
      return scaled == 1 || out == 1 ? 0 : x * (width - 1) / (scaled - 1);
    case CoordinateMode::Asymmetric:
      return x * width / scaled;
    case CoordinateMode::TfCropAndResize:
      if (scaled == 1 || out == 1) return 0.5 * (roi_start + roi_end) * (width - 1);
      return roi_start * (width - 1) + x * (roi_end - roi_start) * (width - 1) / (scaled - 1);
  }
  return 0;
}

int64_t nearest_index(NearestMode mode, double x) {
  switch (mode) {
    case NearestMode::RoundPreferFloor:
      return static_cast<int64_t>(std::ceil(x - 0.5));
    case NearestMode::RoundPreferCeil:
      return static_cast<int64_t>(std::floor(x + 0.5));
    case NearestMode::Floor:
      return static_cast<int64_t>(std::floor(x));
    case NearestMode::Ceil:
      return static_cast<int64_t>(std::ceil(x));
  }
  return 0;
}

}  // namespace

ResizeAxis resize_axis(const ResizeOptions& options, int axis, int64_t in, int64_t out, double scaled, double roi_start,
                       double roi_end) {
  ResizeAxis table;
  table.axis = axis;
  table.in = in;
  table.out = out;
  const bool nearest = options.mode == ResizeMode::Nearest;
  const bool is_cubic = options.mode == ResizeMode::Cubic;
  // Antialiasing stretches the filter where the size shrinks.
  const double stretch = options.antialias && !nearest ? std::min(scaled / static_cast<double>(in), 1.0) : 1;
  const auto reach = static_cast<int64_t>(std::ceil((is_cubic ? 2 : 1) / stretch));
  table.taps = nearest ? 1 : static_cast<int>(2 * reach);
  const bool crops = options.coordinates == CoordinateMode::TfCropAndResize;
  for (int64_t i = 0; i < out; ++i) {
    const double x =
        std::clamp(source_position(options.coordinates, i, in, out, scaled, roi_start, roi_end), -1e15, 1e15);
    const bool outside = crops && (x < 0 || x > static_cast<double>(in - 1));
    auto clamped = [in, outside](int64_t at) { return outside ? -1 : std::clamp<int64_t>(at, 0, in - 1); };
    if (nearest) {
      table.index.push_back(clamped(nearest_index(options.nearest, x)));
      continue;
    }
    const auto first = static_cast<int64_t>(std::floor(x)) - reach + 1;
    const size_t start = table.weight.size();
    double sum = 0;
    for (int64_t at = first; at < first + table.taps; ++at) {
      const double distance = (static_cast<double>(at) - x) * stretch;
      double weight = is_cubic ? cubic(distance, options.cubic_a) : triangle(distance);
      if (options.exclude_outside && (at < 0 || at >= in)) weight = 0;
      sum += weight;
      table.index.push_back(clamped(at));
      table.weight.push_back(weight);
    }
    if ((options.exclude_outside || stretch != 1) && sum != 0)
      for (size_t k = start; k < table.weight.size(); ++k) table.weight[k] /= sum;
  }
  return table;
}

}  // namespace fastort::kernels
