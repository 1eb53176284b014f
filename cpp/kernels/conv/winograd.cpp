#include "kernels/conv/winograd.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <span>
#include <vector>

#include "kernels/conv/winograd_kernels.h"

namespace fastort::kernels {
namespace {

// Transformed inputs held at a time: they are read once for each panel, from the last-level cache.
constexpr int64_t kTransformedBytes = 4 << 20;
// Points of the tiles that one thread multiplies at a time, so that their 16 products each stay in half of a 512 KB L2.
constexpr int64_t kSubPoints = 96 * 36;
// Keeps the rows of different points from falling on the same cache sets.
constexpr int64_t kSkew = 16;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// G * g * G^T for one 3x3 filter, in double: the larger tiles' points are square roots, which are not exact. `lines`
// are the rows of G, `out` has as many rows and columns.
void transform_filter(const float* filter, std::span<const std::array<double, 3>> lines, double* out) {
  double half[6][3];
  for (size_t i = 0; i < lines.size(); ++i)
    for (size_t j = 0; j < 3; ++j)
      half[i][j] = lines[i][0] * static_cast<double>(filter[j]) + lines[i][1] * static_cast<double>(filter[3 + j]) +
                   lines[i][2] * static_cast<double>(filter[6 + j]);
  for (size_t i = 0; i < lines.size(); ++i)
    for (const auto& line : lines) *out++ = half[i][0] * line[0] + half[i][1] * line[1] + half[i][2] * line[2];
}

// The rows of G.
std::vector<std::array<double, 3>> filter_lines(int tile) {
  if (tile == 2) return {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  const double a = std::sqrt(0.5), b = std::sqrt(2.0);
  const double fa = 1 / (2 * a * a * (a * a - b * b)), fb = 1 / (2 * b * b * (b * b - a * a));
  return {{1 / (a * a * b * b), 0, 0}, {fa, a * fa, a * a * fa},  {fa, -a * fa, a * a * fa},
          {fb, b * fb, b * b * fb},    {fb, -b * fb, b * b * fb}, {0, 0, 1}};
}

}  // namespace

WinogradConv::WinogradConv(const ConvShape& shape, const ConvEpilogue& epilogue, int tile, int block, int threads)
    : shape_(shape),
      epilogue_(epilogue),
      tile_(tile),
      block_(block),
      threads_(threads),
      tile_rows_(ceil_div(shape.out[0], tile)),
      tile_columns_(ceil_div(shape.out[1], tile)) {
  const int64_t tile_bytes = sizes().points() * sizes().in_padded * static_cast<int64_t>(sizeof(float));
  const int64_t most = std::max<int64_t>(kTransformedBytes / tile_bytes, 12);
  super_tiles_ = ceil_div(tiles(), ceil_div(tiles(), most));
  const int64_t most_sub = kSubPoints / sizes().points();
  // Where there are few panels threads share the tiles.
  const int64_t wanted = ceil_div(threads > 1 ? 2 * threads : 1, ceil_div(sizes().panels, winograd_group()));
  sub_tiles_ = ceil_div(super_tiles_, std::max(ceil_div(super_tiles_, most_sub), std::min(wanted, super_tiles_ / 12)));
}

WinogradConv::Sizes WinogradConv::sizes() const {
  Sizes s;
  s.tile = tile_;
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
  return static_cast<size_t>(s.points() * s.panels * s.in_padded * kWinogradPanel) * sizeof(float);
}

void WinogradConv::pack_weights(const float* weights, float* dst, const Parallel& parallel) const {
  // [panel][point][channel][16]
  const Sizes s = sizes();
  const std::vector<std::array<double, 3>> lines = filter_lines(tile_);
  const int64_t point_size = s.in_padded * kWinogradPanel;
  parallel.range(s.panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      float* to = dst + panel * s.points() * point_size;
      for (int64_t c = 0; c < s.in_padded; ++c) {
        for (int64_t i = 0; i < kWinogradPanel; ++i) {
          const int64_t m = panel * kWinogradPanel + i;
          double points[36] = {};
          if (m < shape_.out_channels && c < shape_.in_channels)
            transform_filter(weights + (m * shape_.in_channels + c) * 9, lines, points);
          for (int p = 0; p < s.points(); ++p)
            to[p * point_size + c * kWinogradPanel + i] = static_cast<float>(points[p]);
        }
      }
    }
  });
}

size_t WinogradConv::workspace_bytes() const {
  const int64_t points = sizes().points();
  const int64_t transformed = points * (super_tiles_ * sizes().in_padded + kSkew);
  const int64_t products = points * (sub_tiles_ * kWinogradPanel + kSkew);
  return static_cast<size_t>(transformed + threads_ * winograd_group() * products) * sizeof(float);
}

void WinogradConv::run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
                       float* workspace, const Parallel& parallel) const {
  const Sizes s = sizes();
  const int64_t point_stride = super_tiles_ * s.in_padded + kSkew;
  const int64_t product_stride = sub_tiles_ * kWinogradPanel + kSkew;
  const int64_t weights_stride = s.in_padded * kWinogradPanel;
  const int64_t points = s.points(), group = winograd_group();
  float* products = workspace + points * point_stride;
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
    const int64_t subs = ceil_div(count, sub_tiles_), groups = ceil_div(s.panels, group), items = subs * groups;
    std::atomic<int64_t> next{0};
    parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, items)), [&](int slot) {
      float* own = products + slot * group * points * product_stride;
      for (int64_t i = next++; i < items; i = next++) {
        const int64_t tile = i / groups * sub_tiles_, first = i % groups * group;
        const int64_t panels = std::min(group, s.panels - first);
        const int64_t some = std::min(sub_tiles_, count - tile);
        winograd_multiply(s, weights + first * points * weights_stride, weights_stride, panels,
                          workspace + tile * s.in_padded, point_stride, some, own, product_stride);
        for (int64_t p = 0; p < panels; ++p)
          winograd_output(s, own + p * points * product_stride, product_stride, first + p, begin + tile, some,
                          epilogue_.bias ? bias : nullptr, epilogue_.residual ? residual : nullptr, dst);
      }
    });
  }
}

}  // namespace fastort::kernels
