#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/sample/sample.h"
#include "kernels/sample/types.h"

namespace fastort::kernels {
namespace {

// Four pixels around one sampling point.
template <class Acc>
struct Corners {
  int64_t at[4] = {0, 0, 0, 0};
  Acc weight[4] = {0, 0, 0, 0};
};

template <class Acc>
Corners<Acc> corners_of(Acc y, Acc x, int64_t height, int64_t width) {
  Corners<Acc> corners;
  if (!(y >= -1 && y <= static_cast<Acc>(height) && x >= -1 && x <= static_cast<Acc>(width))) return corners;
  y = std::max<Acc>(y, 0);
  x = std::max<Acc>(x, 0);
  int64_t top = static_cast<int64_t>(y), left = static_cast<int64_t>(x), bottom = top + 1, right = left + 1;
  if (top >= height - 1) {
    top = bottom = height - 1;
    y = static_cast<Acc>(top);
  }
  if (left >= width - 1) {
    left = right = width - 1;
    x = static_cast<Acc>(left);
  }
  const Acc down = y - static_cast<Acc>(top), along = x - static_cast<Acc>(left);
  const int64_t at[] = {top * width + left, top * width + right, bottom * width + left, bottom * width + right};
  const Acc weight[] = {(1 - down) * (1 - along), (1 - down) * along, down * (1 - along), down * along};
  std::copy_n(at, 4, corners.at);
  std::copy_n(weight, 4, corners.weight);
  return corners;
}

}  // namespace

void RoiAlign::run(const std::byte* src_data, const std::byte* roi_data, const int64_t* batches, std::byte* dst,
                   const Parallel& parallel) const {
  const int64_t channels = src[1], src_height = src[2], src_width = src[3], bins = height * width;
  with_type(FloatList{}, "RoiAlign", type, [&]<class T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    const T* all_rois = reinterpret_cast<const T*>(roi_data);
    parallel.range(rois, 1, [&](int64_t begin, int64_t end) {
      std::vector<Corners<Acc>> corners;
      for (int64_t r = begin; r < end; ++r) {
        if (batches[r] < 0 || batches[r] >= src[0])
          invalid_argument("RoiAlign: batch index " + std::to_string(batches[r]) + " is outside [0, " +
                           std::to_string(src[0] - 1) + "]");
        Acc edge[4];
        for (int k = 0; k < 4; ++k)
          edge[k] =
              load_number(all_rois[r * 4 + k]) * static_cast<Acc>(spatial_scale) - (half_pixel ? Acc(0.5) : Acc(0));
        Acc roi_width = edge[2] - edge[0], roi_height = edge[3] - edge[1];
        if (!half_pixel) {
          roi_width = std::max<Acc>(roi_width, 1);
          roi_height = std::max<Acc>(roi_height, 1);
        }
        const Acc bin_height = roi_height / static_cast<Acc>(height), bin_width = roi_width / static_cast<Acc>(width);
        auto samples = [&](Acc bin) -> int64_t {
          if (sampling_ratio > 0) return sampling_ratio;
          const Acc count = std::ceil(bin);
          if (!(count < Acc(1e6))) invalid_argument("RoiAlign: a region of interest is out of range");
          return std::max<int64_t>(0, static_cast<int64_t>(count));
        };
        const int64_t rows = samples(bin_height), cols = samples(bin_width), per_bin = rows * cols;
        if (per_bin * bins > (int64_t{1} << 28)) invalid_argument("RoiAlign: a region of interest is out of range");
        corners.clear();
        for (int64_t bin = 0; bin < bins; ++bin) {
          for (int64_t s = 0; s < per_bin; ++s) {
            const Acc y = edge[1] + static_cast<Acc>(bin / width) * bin_height +
                          (static_cast<Acc>(s / cols) + Acc(0.5)) * bin_height / static_cast<Acc>(rows);
            const Acc x = edge[0] + static_cast<Acc>(bin % width) * bin_width +
                          (static_cast<Acc>(s % cols) + Acc(0.5)) * bin_width / static_cast<Acc>(cols);
            corners.push_back(corners_of<Acc>(y, x, src_height, src_width));
          }
        }
        for (int64_t c = 0; c < channels; ++c) {
          const T* plane = reinterpret_cast<const T*>(src_data) + (batches[r] * channels + c) * src_height * src_width;
          T* to = reinterpret_cast<T*>(dst) + (r * channels + c) * bins;
          for (int64_t bin = 0; bin < bins; ++bin) {
            Acc result = 0;
            for (int64_t s = 0; s < per_bin; ++s) {
              const Corners<Acc>& corner = corners[static_cast<size_t>(bin * per_bin + s)];
              Acc part[4];
              for (int k = 0; k < 4; ++k) part[k] = corner.weight[k] * load_number(plane[corner.at[k]]);
              if (maximum) {
                // ONNX takes the largest of the weighted pixels, not of the interpolated points.
                const Acc largest = std::max(std::max(part[0], part[1]), std::max(part[2], part[3]));
                result = s == 0 ? largest : std::max(result, largest);
              } else {
                result += part[0] + part[1] + part[2] + part[3];
              }
            }
            if (!maximum) result /= static_cast<Acc>(std::max<int64_t>(per_bin, 1));
            to[bin] = store_number<T>(result);
          }
        }
      }
    });
  });
}

}  // namespace fastort::kernels
