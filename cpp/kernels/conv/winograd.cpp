#include "kernels/conv/winograd.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "kernels/conv/winograd_kernels.h"

namespace fastort::kernels {
namespace {

// Transformed inputs held at a time: they are read once for each panel, from the last-level cache.
constexpr int64_t kTransformedBytes = 4 << 20;
// Tiles that one thread multiplies at a time, so that its 36 x tiles x 16 products stay in half of a 512 KB L2.
constexpr int64_t kSubTiles = 96;
// Keeps the rows of different points from falling on the same cache sets.
constexpr int64_t kSkew = 16;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// G * g * G^T for one 3x3 filter, in double: the points' square roots are not exact.
void transform_filter(const float* filter, double* out) {
  const double a = std::sqrt(0.5), b = std::sqrt(2.0);
  const double fa = 1 / (2 * a * a * (a * a - b * b)), fb = 1 / (2 * b * b * (b * b - a * a));
  const double g[6][3] = {{1 / (a * a * b * b), 0, 0}, {fa, a * fa, a * a * fa},  {fa, -a * fa, a * a * fa},
                          {fb, b * fb, b * b * fb},    {fb, -b * fb, b * b * fb}, {0, 0, 1}};
  double half[6][3];
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 3; ++j)
      half[i][j] = g[i][0] * static_cast<double>(filter[j]) + g[i][1] * static_cast<double>(filter[3 + j]) +
                   g[i][2] * static_cast<double>(filter[6 + j]);
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j) out[i * 6 + j] = half[i][0] * g[j][0] + half[i][1] * g[j][1] + half[i][2] * g[j][2];
}

}  // namespace

WinogradConv::WinogradConv(const ConvShape& shape, const ConvEpilogue& epilogue, int block, int threads)
    : shape_(shape),
      epilogue_(epilogue),
      block_(block),
      threads_(threads),
      tile_rows_(ceil_div(shape.out[0], 4)),
      tile_columns_(ceil_div(shape.out[1], 4)) {
  const int64_t tile_bytes = kWinogradPoints * sizes().in_padded * static_cast<int64_t>(sizeof(float));
  const int64_t most = std::max<int64_t>(kTransformedBytes / tile_bytes, 12);
  super_tiles_ = ceil_div(tiles(), ceil_div(tiles(), most));
  sub_tiles_ = ceil_div(super_tiles_, ceil_div(super_tiles_, kSubTiles));
}

WinogradConv::Sizes WinogradConv::sizes() const {
  Sizes s;
  s.height = shape_.in[0], s.width = shape_.in[1], s.out_height = shape_.out[0], s.out_width = shape_.out[1];
  s.pad_top = shape_.pad_begin[0], s.pad_left = shape_.pad_begin[1];
  s.tile_rows = tile_rows_, s.tile_columns = tile_columns_;
  s.in_blocks = ceil_div(shape_.in_channels, block_), s.out_blocks = ceil_div(shape_.out_channels, block_);
  s.in_padded = s.in_blocks * block_;
  s.out_channels = shape_.out_channels;
  s.block = block_;
  s.panels = ceil_div(shape_.out_channels, kWinogradPanel);
  s.activation = epilogue_.activation;
  return s;
}

size_t WinogradConv::weights_bytes() const {
  const Sizes s = sizes();
  return static_cast<size_t>(kWinogradPoints * s.panels * s.in_padded * kWinogradPanel) * sizeof(float);
}

void WinogradConv::pack_weights(const float* weights, float* dst, const Parallel& parallel) const {
  // [panel][point][channel][16]
  const Sizes s = sizes();
  const int64_t point_size = s.in_padded * kWinogradPanel;
  parallel.range(s.panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      float* to = dst + panel * kWinogradPoints * point_size;
      for (int64_t c = 0; c < s.in_padded; ++c) {
        for (int64_t i = 0; i < kWinogradPanel; ++i) {
          const int64_t m = panel * kWinogradPanel + i;
          double points[kWinogradPoints] = {};
          if (m < shape_.out_channels && c < shape_.in_channels)
            transform_filter(weights + (m * shape_.in_channels + c) * 9, points);
          for (int p = 0; p < kWinogradPoints; ++p)
            to[p * point_size + c * kWinogradPanel + i] = static_cast<float>(points[p]);
        }
      }
    }
  });
}

size_t WinogradConv::workspace_bytes() const {
  const int64_t transformed = kWinogradPoints * (super_tiles_ * sizes().in_padded + kSkew);
  const int64_t products = kWinogradPoints * (sub_tiles_ * kWinogradPanel + kSkew);
  return static_cast<size_t>(transformed + threads_ * products) * sizeof(float);
}

void WinogradConv::run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
                       float* workspace, const Parallel& parallel) const {
  const Sizes s = sizes();
  const int64_t point_stride = super_tiles_ * s.in_padded + kSkew;
  const int64_t product_stride = sub_tiles_ * kWinogradPanel + kSkew;
  const int64_t weights_stride = s.in_padded * kWinogradPanel;
  float* products = workspace + kWinogradPoints * point_stride;
  for (int64_t begin = 0; begin < tiles(); begin += super_tiles_) {
    const int64_t count = std::min(super_tiles_, tiles() - begin);
    // 24 tiles of one block of channels are about 3 us of work.
    constexpr int64_t kStrip = 24;
    const int64_t strips = ceil_div(count, kStrip);
    parallel.range(strips * s.in_blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t tile = i / s.in_blocks * kStrip, channels = i % s.in_blocks;
        winograd_input(s, src, channels, begin + tile, std::min(kStrip, count - tile),
                       workspace + tile * s.in_padded + channels * s.block, point_stride);
      }
    });
    const int64_t subs = ceil_div(count, sub_tiles_), items = subs * s.panels;
    std::atomic<int64_t> next{0};
    parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, items)), [&](int slot) {
      float* own = products + slot * kWinogradPoints * product_stride;
      for (int64_t i = next++; i < items; i = next++) {
        const int64_t tile = i / s.panels * sub_tiles_, panel = i % s.panels;
        const int64_t some = std::min(sub_tiles_, count - tile);
        winograd_multiply(weights + panel * kWinogradPoints * weights_stride, weights_stride,
                          workspace + tile * s.in_padded, point_stride, s.in_padded, some, own, product_stride);
        winograd_output(s, own, product_stride, panel, begin + tile, some, epilogue_.bias ? bias : nullptr,
                        epilogue_.residual ? residual : nullptr, dst);
      }
    });
  }
}

}  // namespace fastort::kernels
