#include "kernels/conv/depthwise_block.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "kernels/conv/blocked_kernels.h"
#include "kernels/conv/pointwise.h"

namespace fastort::kernels {
namespace {

// Rows that are held, which leave room in a first-level cache of 32 KB; and of a group of panels at most.
constexpr int64_t kRingBytes = 20 << 10, kGroupBytes = 36 << 10;

// Rows of outputs beside which those that a band repeats do not count.
constexpr int64_t kLeastBand = 14;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace

// What one thread works in.
struct DepthwiseBlock::Slot {
  float* ring;
  float* zeros;  // a row of padding
  const float** rows;
};

// Rows [begin, end) of one image's outputs for some panels; `sums` of one of them lie `sums_stride` floats behind those
// of the one before.
struct DepthwiseBlock::Band {
  int64_t panel, panels, begin, end, sums_stride;
};

DepthwiseBlock::DepthwiseBlock(const ConvShape& shape, const ConvEpilogue& epilogue, const Parts& parts, int block,
                               int threads)
    : shape_(shape),
      epilogue_(epilogue),
      parts_(parts),
      block_(block),
      threads_(threads),
      padded_(round_up(shape.out_channels, block)),
      in_padded_(round_up(parts.expand ? parts.channels : shape.in_channels, block)),
      panels_(blocked_panels(shape.out_channels)) {
  const int64_t reach = (shape.kernel[0] - 1) * shape.dilation[0] + 1;
  const int64_t columns = (shape.out[1] - 1) * shape.stride[1] + (shape.kernel[1] - 1) * shape.dilation[1] + 1;
  pitch_ = std::max(columns, shape.pad_begin[1] + shape.in[1]);
  const int64_t row_bytes = pitch_ * kBlockedPanel * static_cast<int64_t>(sizeof(float));
  pair_rows_ = depthwise_pairs(shape.kernel[0], shape.kernel[1], shape.stride[0], shape.stride[1], shape.dilation[0],
                               shape.dilation[1])
                   ? 2
                   : 1;
  const int64_t least = reach + (pair_rows_ - 1) * shape.stride[0];
  group_ = parts.expand && panels_ > 1 ? blocked_panel_group(block) : 1;
  if (group_ * least * row_bytes > kGroupBytes) group_ = 1;
  ring_ = std::max(std::min(kRingBytes / group_ / row_bytes, shape.in[0]), least);
  if (parts.expand)
    for (size_t full = 0; full < 2; ++full) {
      const int64_t width = full ? kBlockedPanel : block;
      // Twice around the ring: rows that are made together may begin anywhere in it.
      for (int64_t y = 0; y < 2 * ring_; ++y)
        for (int64_t x = 0; x < shape.in[1]; ++x)
          offsets_[full].push_back(static_cast<int32_t>((y % ring_ * pitch_ + shape.pad_begin[1] + x) * width));
    }
  const int64_t items = shape.batch * ceil_div(panels_, group_);
  const bool even = items % threads == 0 || items >= 8LL * threads;
  // A band repeats rows of the one before it. Of large maps each thread takes a band, so that it reads its part of the
  // source from its own cache for all panels but the first ones.
  const bool large = threads > 1 && shape.batch < threads && shape.out[0] >= kLeastBand * threads;
  bands_ = large ? threads
           : threads == 1 || even
               ? 1
               : std::clamp<int64_t>(ceil_div(4LL * threads, items), 1, std::max<int64_t>(shape.out[0] / 8, 1));
}

size_t DepthwiseBlock::expand_bytes() const { return static_cast<size_t>(parts_.channels * padded_) * sizeof(float); }

void DepthwiseBlock::pack_expand(const float* weights, float* dst) const {
  pack_pointwise(weights, shape_.out_channels, parts_.channels, block_, dst);
}

size_t DepthwiseBlock::weights_bytes() const { return static_cast<size_t>(shape_.taps() * padded_) * sizeof(float); }

// Panels of [tap][width].
void DepthwiseBlock::pack_weights(const float* weights, float* dst) const {
  const int64_t channels = shape_.out_channels, taps = shape_.taps();
  for (int64_t panel = 0; panel < panels_; ++panel) {
    const int width = blocked_panel_width(channels, panel, block_);
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = panel * kBlockedPanel; c < panel * kBlockedPanel + width; ++c)
        *dst++ = c < channels ? weights[c * taps + tap] : 0.0f;
  }
}

// Room for pointers to the rows that a pass reads, in floats.
int64_t DepthwiseBlock::row_pointers() const {
  return round_up(2 * (shape_.kernel[0] + (pair_rows_ - 1) * shape_.stride[0]), 16);
}

// The rings of a group's panels, a row of padding, and the pointers.
int64_t DepthwiseBlock::slot_floats() const { return (group_ * ring_ + 1) * pitch_ * kBlockedPanel + row_pointers(); }

size_t DepthwiseBlock::workspace_bytes() const {
  const int64_t sums = parts_.mean ? shape_.batch * panels_ * kBlockedPanel * shape_.out[0] : 0;
  return static_cast<size_t>(threads_ * slot_floats() + sums + 2 * round_up(padded_, 16)) * sizeof(float);
}

// Rows [begin, end) of what the depthwise convolution reads, into the rings.
void DepthwiseBlock::produce(const Slot& slot, const float* src, const Weights& weights, const Band& band,
                             int64_t begin, int64_t end) const {
  const int64_t panel = band.panel;
  const int64_t width = blocked_panel_width(shape_.out_channels, panel, block_), columns = shape_.in[1];
  const int64_t plane = shape_.in[0] * columns * block_, row = pitch_ * width, left = shape_.pad_begin[1] * width;
  if (!parts_.expand) {
    for (int64_t b = 0; b < width; b += block_)
      for (int64_t y = begin; y < end; ++y) {
        const float* from = src + (panel * kBlockedPanel + b) / block_ * plane + y * columns * block_;
        float* to = slot.ring + y % ring_ * row + left + b;
        spread_pixels(from, columns, block_, to, width);
      }
    return;
  }
  PointwiseRun run;
  run.src = src + begin * columns * block_;
  run.src_block = plane;
  run.channels = parts_.channels;
  run.weights = weights.expand + panel * kBlockedPanel * parts_.channels;
  run.width = static_cast<int>(width);
  run.panels = static_cast<int>(band.panels);
  run.weights_panel = kBlockedPanel * parts_.channels;
  if (panel + band.panels < panels_) run.next_weights = run.weights + band.panels * run.weights_panel;
  run.bias = weights.expand_bias + panel * kBlockedPanel;
  run.offsets = offsets_[width == kBlockedPanel ? 1 : 0].data() + begin % ring_ * columns;
  run.dst_block = band.panels > 1 ? ring_ * row : block_;
  run.pixels = (end - begin) * columns;
  run.dst = slot.ring;
  run.activation = parts_.activation;
  pointwise_run(run, block_);
}

void DepthwiseBlock::run_band(const Slot& slot, const float* src, const Weights& weights, const float* residual,
                              float* dst, float* sums, const Band& band) const {
  const int64_t height = shape_.in[0], plane = shape_.out_pixels() * block_;
  DepthwiseRows row;
  row.width = blocked_panel_width(shape_.out_channels, band.panel, block_);
  row.rows = slot.rows;
  row.kernel_height = shape_.kernel[0], row.kernel_width = shape_.kernel[1];
  row.stride = shape_.stride[1], row.dilation = shape_.dilation[1];
  row.dst_block = plane;
  row.dst_row = shape_.out[1] * block_;
  row.pixels = shape_.out[1];
  row.activation = epilogue_.activation;
  const int64_t pitch = pitch_ * row.width;
  // What stands for the padding; everything else is written before it is read.
  const int64_t left = shape_.pad_begin[1] * row.width, right = left + shape_.in[1] * row.width;
  for (int64_t y = 0; y < band.panels * ring_; ++y) {
    std::fill_n(slot.ring + y * pitch, left, 0.0f);
    std::fill_n(slot.ring + y * pitch + right, pitch - right, 0.0f);
  }
  std::fill_n(slot.zeros, pitch, 0.0f);
  int64_t made = -1;  // rows before it were produced or are not needed
  for (int64_t y = band.begin; y < band.end; y += row.out_rows) {
    row.out_rows = std::min(pair_rows_, band.end - y);
    const int64_t reach = (shape_.kernel[0] - 1) * shape_.dilation[0] + (row.out_rows - 1) * shape_.stride[0] + 1;
    const int64_t top = y * shape_.stride[0] - shape_.pad_begin[0];
    const int64_t bottom = std::min(top + reach, height);
    const int64_t first = std::max<int64_t>(top, 0);
    made = std::max(made, first);
    if (bottom > made) {
      // No more rows than the band needs.
      const int64_t needed =
          (band.end - 1) * shape_.stride[0] - shape_.pad_begin[0] + (shape_.kernel[0] - 1) * shape_.dilation[0] + 1;
      const int64_t to = std::min({first + ring_, height, needed});
      produce(slot, src, weights, band, made, to);
      made = to;
    }
    for (int64_t i = 0; i < band.panels; ++i) {
      const int64_t channel = (band.panel + i) * kBlockedPanel;
      // Where there are two rows of outputs, the dilation is 1.
      for (int64_t ky = 0; ky < shape_.kernel[0] + (row.out_rows - 1) * shape_.stride[0]; ++ky) {
        const int64_t at = top + ky * shape_.dilation[0];
        slot.rows[ky] = at < 0 || at >= height ? slot.zeros : slot.ring + (i * ring_ + at % ring_) * pitch;
      }
      row.weights = weights.depthwise + channel * shape_.taps();
      row.bias = weights.bias + channel;
      row.channels = shape_.out_channels - channel;
      const int64_t out = channel / block_ * plane + y * shape_.out[1] * block_;
      row.dst = dst + out;
      row.residual = residual ? residual + out : nullptr;
      std::array<float, kBlockedPanel> row_sums{};
      if (sums) row.sums = row_sums.data();
      depthwise_rows(row, block_);
      if (!sums) continue;
      float* to = sums + i * band.sums_stride + (bands_ == 1 ? 0 : y * kBlockedPanel);
      for (size_t c = 0; c < kBlockedPanel; ++c) to[c] = bands_ == 1 ? to[c] + row_sums[c] : row_sums[c];
    }
  }
}

void DepthwiseBlock::run(const float* src, const Weights& weights, const float* residual, float* dst, float* mean,
                         std::byte* workspace, const Parallel& parallel) const {
  const int64_t row = pitch_ * kBlockedPanel;
  const auto padded = [&](const float* bias, float* to) {
    std::memset(to, 0, static_cast<size_t>(padded_) * sizeof(float));
    if (bias) std::memcpy(to, bias, static_cast<size_t>(shape_.out_channels) * sizeof(float));
    return to;
  };
  float* biases = reinterpret_cast<float*>(workspace);
  const int64_t biases_size = round_up(padded_, 16);
  Weights own_weights = weights;
  own_weights.bias = padded(weights.bias, biases);
  own_weights.expand_bias = padded(weights.expand_bias, biases + biases_size);
  float* slots = biases + 2 * biases_size;
  float* sums = slots + threads_ * slot_floats();
  const int64_t out_rows = shape_.out[0], sums_size = kBlockedPanel * out_rows;
  const int64_t groups = ceil_div(panels_, group_), items = shape_.batch * groups * bands_;
  const float scale = 1.0f / static_cast<float>(shape_.out_pixels());
  const auto write_mean = [&](int64_t item, const float* sum) {
    const int64_t n = item / panels_, channel = item % panels_ * kBlockedPanel;
    for (int64_t i = 0; i < std::min<int64_t>(kBlockedPanel, padded_ - channel); ++i)
      mean[n * padded_ + channel + i] = sum[i] * scale;
  };
  // Bands begin at even rows, so that the sums do not depend on them.
  const auto band_begin = [&](int64_t band) {
    return band == bands_ ? out_rows : band * out_rows / bands_ / pair_rows_ * pair_rows_;
  };
  std::atomic<int64_t> next{0};
  parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, items)), [&](int index) {
    Slot slot;
    slot.ring = slots + index * slot_floats();
    slot.zeros = slot.ring + group_ * ring_ * row;
    slot.rows = reinterpret_cast<const float**>(slot.zeros + row);
    for (int64_t item = next++; item < items; item = next++) {
      const int64_t part = item % bands_, n = item / bands_ / groups;
      Band band;
      band.panel = item / bands_ % groups * group_;
      band.panels = std::min(group_, panels_ - band.panel);
      band.begin = band_begin(part), band.end = band_begin(part + 1);
      band.sums_stride = bands_ == 1 ? kBlockedPanel : sums_size;
      const int64_t which = n * panels_ + band.panel;
      std::array<float, 2 * kBlockedPanel> total{};
      float* own = !parts_.mean ? nullptr : bands_ == 1 ? total.data() : sums + which * sums_size;
      run_band(slot, src + n * in_padded_ * shape_.in_pixels(), own_weights,
               residual ? residual + n * padded_ * shape_.out_pixels() : nullptr,
               dst + n * padded_ * shape_.out_pixels(), own, band);
      for (int64_t i = 0; own && bands_ == 1 && i < band.panels; ++i) write_mean(which + i, own + i * kBlockedPanel);
    }
  });
  if (!parts_.mean || bands_ == 1) return;
  // In the order of the rows, so that the sum does not depend on the number of bands.
  for (int64_t which = 0; which < shape_.batch * panels_; ++which) {
    std::array<float, kBlockedPanel> total{};
    for (int64_t y = 0; y < out_rows; y += pair_rows_)
      for (size_t i = 0; i < kBlockedPanel; ++i)
        total[i] += sums[which * sums_size + y * kBlockedPanel + static_cast<int64_t>(i)];
    write_mean(which, total.data());
  }
}

}  // namespace fastort::kernels
