#include "kernels/conv/winograd.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <span>
#include <vector>

#include "base/cpu_info.h"
#include "kernels/conv/winograd_kernels.h"

namespace fastort::kernels {
namespace {

// Transformed inputs held at a time: they are read once for each panel, from the last-level cache.
constexpr int64_t kTransformedBytes = 4 << 20;
// Points of the tiles that one thread multiplies at a time, so that their 16 products each stay in half of a 512 KB L2.
constexpr int64_t kSubPoints = 96 * 36;
// That keep the sums of a step of products busy.
constexpr int64_t kLeastTiles = 12;
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
      tile_columns_(ceil_div(shape.out[1], tile)),
      own_(false),
      split_panels_(false),
      reread_(0) {
  choose_tiles();
  point_stride_ = (own_ ? sub_tiles_ : super_tiles_) * sizes().in_padded + kSkew;
  product_stride_ = sub_tiles_ * kWinogradPanel + kSkew;
}

void WinogradConv::choose_tiles() {
  const Sizes s = sizes();
  const auto tile_bytes = static_cast<double>(s.points() * s.in_padded) * sizeof(float);
  const auto weights = static_cast<double>(weights_bytes()), l2 = static_cast<double>(cache_sizes().l2);
  const int64_t most_sub = kSubPoints / s.points(), groups = ceil_div(s.panels, winograd_group());

  const int64_t most = std::max(static_cast<int64_t>(kTransformedBytes / tile_bytes), kLeastTiles);
  super_tiles_ = ceil_div(tiles(), ceil_div(tiles(), most));
  // Where there are few panels threads share the tiles.
  const int64_t wanted = ceil_div(threads_ > 1 ? 2 * threads_ : 1, groups);
  sub_tiles_ =
      ceil_div(super_tiles_, std::max(ceil_div(super_tiles_, most_sub), std::min(wanted, super_tiles_ / kLeastTiles)));

  // Bytes that all threads together read from beyond their second caches. What another thread has transformed takes
  // twice as long.
  const double maps = static_cast<double>(tiles()) * tile_bytes;
  const bool held = maps <= l2 / 2;
  const double readings = held ? std::min<double>(threads_, static_cast<double>(groups)) : static_cast<double>(groups);
  const double shared =
      weights * static_cast<double>(ceil_div(tiles(), super_tiles_)) + (threads_ > 1 ? 2 : 1) * maps * readings;
  const int64_t most_own = std::min(most_sub, static_cast<int64_t>(l2 / 3 / tile_bytes));
  if (most_own >= kLeastTiles && tiles() >= threads_ * kLeastTiles) {
    const int64_t pieces = ceil_div(ceil_div(tiles(), most_own), threads_) * threads_;
    const int64_t tiles_each = ceil_div(tiles(), pieces);
    const bool kept = weights + static_cast<double>(tiles_each) * tile_bytes <= 0.75 * l2;
    const double own = weights * static_cast<double>(kept ? threads_ : pieces);
    if (own <= shared) {
      own_ = true;
      sub_tiles_ = tiles_each;
      reread_ = own;
      return;
    }
  }
  // Where few tiles meet many outputs, transforming all of them on each thread costs less than exchanging them: to
  // transform a channel takes as long as to multiply it for 12 outputs.
  constexpr double kTransform = 12, kMostAgain = 0.06;
  const auto out_channels = static_cast<double>(s.out_channels);
  own_ = split_panels_ = threads_ > 1 && held && tiles() <= most_sub && groups >= threads_ &&
                         kTransform * (threads_ - 1) <= kMostAgain * out_channels;
  if (own_) sub_tiles_ = tiles();
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
  const int64_t maps = (own_ ? threads_ : 1) * point_stride_, products = threads_ * winograd_group() * product_stride_;
  return static_cast<size_t>(sizes().points() * (maps + products)) * sizeof(float);
}

void WinogradConv::transform(const Operands& x, int64_t channel_block, int64_t first, int64_t count,
                             float* transformed) const {
  winograd_input(sizes(), x.src, channel_block, first, count, transformed + channel_block * block_, point_stride_);
}

void WinogradConv::multiply(const Operands& x, int64_t first_panel, int64_t panels, int64_t first_tile, int64_t count,
                            const float* transformed, float* products) const {
  const Sizes s = sizes();
  winograd_multiply(s, x.weights, first_panel, panels, transformed, point_stride_, count, products, product_stride_);
  for (int64_t p = 0; p < panels; ++p)
    winograd_output(s, products + p * s.points() * product_stride_, product_stride_, first_panel + p, first_tile, count,
                    x.bias, x.residual, x.dst);
}

void WinogradConv::run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
                       float* workspace, const Parallel& parallel) const {
  const Operands x{src, weights, epilogue_.bias ? bias : nullptr, epilogue_.residual ? residual : nullptr, dst};
  own_ ? run_own(x, workspace, parallel) : run_shared(x, workspace, parallel);
}

void WinogradConv::run_own(const Operands& x, float* workspace, const Parallel& parallel) const {
  const Sizes s = sizes();
  const int64_t group = winograd_group(), groups = ceil_div(s.panels, group), pieces = ceil_div(tiles(), sub_tiles_);
  const int64_t parts = split_panels_ ? groups : 1, items = pieces * parts;
  std::atomic<int64_t> next{0};
  parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, items)), [&](int slot) {
    float* const maps = workspace + slot * s.points() * point_stride_;
    float* const products = workspace + s.points() * (threads_ * point_stride_ + slot * group * product_stride_);
    int64_t transformed = -1;
    for (int64_t i = next++; i < items; i = next++) {
      const int64_t piece = i / parts, part = i % parts;
      const int64_t first = piece * sub_tiles_, count = std::min(sub_tiles_, tiles() - first);
      if (transformed != piece)
        for (int64_t channels = 0; channels < s.in_blocks; ++channels) transform(x, channels, first, count, maps);
      transformed = piece;
      const int64_t last = std::min((part + 1) * groups / parts * group, s.panels);
      for (int64_t panel = part * groups / parts * group; panel < last; panel += group)
        multiply(x, panel, std::min(group, last - panel), first, count, maps, products);
    }
  });
}

void WinogradConv::run_shared(const Operands& x, float* workspace, const Parallel& parallel) const {
  const Sizes s = sizes();
  const int64_t points = s.points(), group = winograd_group();
  float* products = workspace + points * point_stride_;
  for (int64_t begin = 0; begin < tiles(); begin += super_tiles_) {
    const int64_t count = std::min(super_tiles_, tiles() - begin);
    // 24 tiles of one block of channels are about 3 us of work.
    constexpr int64_t kStrip = 24;
    const int64_t strips = ceil_div(count, kStrip);
    parallel.range(strips * s.in_blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t tile = i / s.in_blocks * kStrip;
        transform(x, i % s.in_blocks, begin + tile, std::min(kStrip, count - tile), workspace + tile * s.in_padded);
      }
    });
    const int64_t subs = ceil_div(count, sub_tiles_), groups = ceil_div(s.panels, group), items = subs * groups;
    std::atomic<int64_t> next{0};
    parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, items)), [&](int slot) {
      float* own = products + slot * group * points * product_stride_;
      for (int64_t i = next++; i < items; i = next++) {
        const int64_t tile = i / groups * sub_tiles_, panel = i % groups * group;
        multiply(x, panel, std::min(group, s.panels - panel), begin + tile, std::min(sub_tiles_, count - tile),
                 workspace + tile * s.in_padded, own);
      }
    });
  }
}

}  // namespace fastort::kernels
