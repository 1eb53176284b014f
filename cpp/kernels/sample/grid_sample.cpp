#include <algorithm>
#include <cmath>

#include "kernels/move/element.h"
#include "kernels/move/strided_copy.h"
#include "kernels/sample/sample.h"
#include "kernels/sample/types.h"

namespace fastort::kernels {
namespace {

// Folds x back into [low, high] at its ends as often as needed.
float reflect(float x, float low, float high) {
  const float range = high - low;
  if (range <= 0) return low;
  const float away = x < low ? low - x : x > high ? x - high : 0;
  if (away == 0) return x;
  const float turns = std::floor(away / range), rest = away - turns * range;
  const bool even = std::fmod(turns, 2.0F) == 0;
  return even == (x < low) ? low + rest : high - rest;
}

// Keys' kernel with a = -0.75, as in PyTorch.
void cubic_weights(float t, float* weight) {
  constexpr float a = -0.75F;
  auto far = [](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  auto near = [](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  weight[0] = far(t + 1);
  weight[1] = near(t);
  weight[2] = near(1 - t);
  weight[3] = far(2 - t);
}

// What one coordinate of the grid reads of its dimension.
struct Taps {
  int count = 0;
  int64_t index[4];  // -1 for a zero
  float weight[4];
};

Taps find_taps(const GridSample& op, float n, int64_t size) {
  const auto length = static_cast<float>(size);
  const float low = op.align_corners ? 0.0F : -0.5F, high = op.align_corners ? length - 1 : length - 0.5F;
  float x = op.align_corners ? (n + 1) / 2 * (length - 1) : ((n + 1) * length - 1) / 2;
  // Infinities and NaN are far outside.
  x = std::isnan(x) ? -1e9F : std::clamp(x, -1e9F, 1e9F);
  if (op.mode == SampleMode::Nearest) x = std::nearbyint(x);
  if (x < low || x > high) {
    // As in PyTorch and ONNX Runtime, each of the pixels that a cubic reads is bounded, not the place between them.
    if (op.padding == SamplePadding::Border && op.mode != SampleMode::Cubic) x = std::clamp(x, 0.0F, length - 1);
    if (op.padding == SamplePadding::Reflection) x = reflect(x, low, high);
  }
  auto pixel = [&](int64_t at) -> int64_t {
    if (at >= 0 && at < size) return at;
    if (op.padding == SamplePadding::Zeros) return -1;
    if (op.padding == SamplePadding::Border) return std::clamp<int64_t>(at, 0, size - 1);
    return std::clamp<int64_t>(static_cast<int64_t>(reflect(static_cast<float>(at), low, high)), 0, size - 1);
  };
  Taps taps;
  const auto base = static_cast<int64_t>(std::floor(x));
  const float rest = x - static_cast<float>(base);
  switch (op.mode) {
    case SampleMode::Nearest:
      taps.count = 1;
      taps.index[0] = pixel(static_cast<int64_t>(x));
      taps.weight[0] = 1;
      break;
    case SampleMode::Linear:
      taps.count = 2;
      for (int k = 0; k < 2; ++k) taps.index[k] = pixel(base + k);
      taps.weight[0] = 1 - rest;
      taps.weight[1] = rest;
      break;
    case SampleMode::Cubic:
      taps.count = 4;
      for (int k = 0; k < 4; ++k) taps.index[k] = pixel(base - 1 + k);
      cubic_weights(rest, taps.weight);
  }
  return taps;
}

float grid_item(DataType type, const std::byte* grid, int64_t i) {
  return with_type(FloatList{}, "GridSample: a grid", type, [&]<class T>(std::type_identity<T>) {
    return static_cast<float>(widened(reinterpret_cast<const T*>(grid)[i]));
  });
}

}  // namespace

void GridSample::run(const std::byte* src_data, const std::byte* grid_data, std::byte* dst,
                     const Parallel& parallel) const {
  const int dims = src.rank() - 2;
  const int64_t channels = src[1], points = grid.count(1, dims + 1), plane = src.count(2, src.rank());
  const Strides strides = strides_of(src);
  if (src[0] * channels * points == 0) return;
  auto for_points = [&](auto&& sample) {
    parallel.range(src[0] * points, 256, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sample(i / points, i % points, i * dims);
    });
  };
  if (mode == SampleMode::Nearest) {
    with_element(type, [&]<class T>(std::type_identity<T>) {
      for_points([&](int64_t n, int64_t point, int64_t at) {
        int64_t offset = 0;
        bool inside = true;
        for (int d = 0; d < dims; ++d) {
          // The last coordinate of a point belongs to the first dimension.
          const Taps taps = find_taps(*this, grid_item(grid_type, grid_data, at + dims - 1 - d), src[d + 2]);
          inside = inside && taps.index[0] >= 0;
          offset += taps.index[0] * strides[d + 2];
        }
        const T* from = reinterpret_cast<const T*>(src_data) + n * channels * plane + (inside ? offset : 0);
        T* to = reinterpret_cast<T*>(dst) + n * channels * points + point;
        for (int64_t c = 0; c < channels; ++c) to[c * points] = inside ? from[c * plane] : T{};
      });
    });
    return;
  }
  with_sampled_type(type, [&]<class T>(std::type_identity<T>) {
    using Acc = Accumulator<T>;
    for_points([&](int64_t n, int64_t point, int64_t at) {
      Taps taps[kMaxDims];
      int combinations = 1;
      for (int d = 0; d < dims; ++d) {
        taps[d] = find_taps(*this, grid_item(grid_type, grid_data, at + dims - 1 - d), src[d + 2]);
        combinations *= taps[d].count;
      }
      T* to = reinterpret_cast<T*>(dst) + n * channels * points + point;
      const T* base = reinterpret_cast<const T*>(src_data) + n * channels * plane;
      for (int64_t c = 0; c < channels; ++c) {
        Acc sum = 0;
        for (int combination = 0; combination < combinations; ++combination) {
          int64_t offset = 0;
          Acc weight = 1;
          bool inside = true;
          for (int d = dims - 1, rest = combination; d >= 0; --d) {
            const int k = rest % taps[d].count;
            rest /= taps[d].count;
            inside = inside && taps[d].index[k] >= 0;
            offset += taps[d].index[k] * strides[d + 2];
            weight *= taps[d].weight[k];
          }
          if (inside) sum += weight * load_number(base[c * plane + offset]);
        }
        to[c * points] = store_number<T>(sum);
      }
    });
  });
}

}  // namespace fastort::kernels
