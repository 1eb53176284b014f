#include "kernels/conv/pointwise.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/cpu_info.h"
#include "kernels/conv/blocked_kernels.h"

namespace fastort::kernels {
namespace {

// Channels whose weights for one panel stay in the first-level cache: 16 KB of them.
constexpr int64_t kDepth = 288;
// The share of the second-level cache that one part's inputs may fill, and as much the weights that each thread reads
// for itself; each of more weights is better read by one thread alone.
constexpr double kCacheShare = 0.4;
// Pixels of a thread for which it may read all weights; of fewer, threads share the panels unless there are few
// weights.
constexpr int64_t kLeastOwn = 24;
constexpr int64_t kSharedWeights = 200 << 10;

constexpr float kZeros[2 * kBlockedPanel] = {};

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace

PointwiseConv::PointwiseConv(const ConvShape& shape, const ConvEpilogue& epilogue, bool gated, int block, int threads)
    : epilogue_(epilogue),
      gated_(gated),
      block_(block),
      threads_(threads),
      batch_(shape.batch),
      pixels_(shape.out_pixels()),
      channels_(shape.in_channels),
      out_channels_(shape.out_channels),
      in_padded_(round_up(shape.in_channels, block)),
      out_padded_(round_up(shape.out_channels, block)),
      panels_(blocked_panels(shape.out_channels)) {
  depth_ = round_up(ceil_div(channels_, ceil_div(channels_, kDepth)), block);
  const auto cached = static_cast<int64_t>(kCacheShare * static_cast<double>(cache_sizes().l2));
  parts_ = ceil_div(pixels_, std::max<int64_t>(cached / (in_padded_ * 4), 24));
  // A part for each thread, as large as can be: weights that the first cache holds serve all of its pixels, and each
  // part is multiplied by its gate once. Twelve pixels are the least that keeps the sums of two tiles busy.
  const int64_t weights = channels_ * out_padded_ * 4;
  int64_t large = std::max<int64_t>(parts_, ceil_div(threads, batch_));
  if (large * batch_ % threads != 0) large = round_up(large, threads);
  const bool own = weights <= cached && batch_ * pixels_ >= kLeastOwn * threads && pixels_ >= 12 * large;
  if (own)
    parts_ = large;
  else if (weights <= kSharedWeights)
    parts_ = std::max(parts_, std::min(ceil_div(4LL * threads, batch_), pixels_ / 12));
  // As much work for each thread.
  if (parts_ > 1 && parts_ * batch_ % threads != 0) parts_ = round_up(parts_, threads);
  parts_ = std::clamp<int64_t>(parts_, 1, pixels_);
  part_pixels_ = ceil_div(pixels_, parts_);
  parts_ = ceil_div(pixels_, part_pixels_);
  panel_parts_ = own || threads == 1 ? 1 : std::clamp<int64_t>(ceil_div(4LL * threads, parts_ * batch_), 1, panels_);
  for (int64_t i = 0; i < part_pixels_; ++i) offsets_.push_back(static_cast<int32_t>(i * block));
}

size_t PointwiseConv::weights_bytes() const { return static_cast<size_t>(channels_ * out_padded_) * sizeof(float); }

void PointwiseConv::pack_weights(const float* weights, float* dst) const {
  pack_pointwise(weights, out_channels_, channels_, block_, dst);
}

void pack_pointwise(const float* weights, int64_t out_channels, int64_t channels, int block, float* dst) {
  for (int64_t panel = 0; panel < blocked_panels(out_channels); ++panel) {
    const int width = blocked_panel_width(out_channels, panel, block);
    for (int64_t c = 0; c < channels; ++c)
      for (int i = 0; i < width; ++i) {
        const int64_t m = panel * kBlockedPanel + i;
        *dst++ = m < out_channels ? weights[m * channels + c] : 0.0f;
      }
  }
}

size_t PointwiseConv::workspace_bytes() const {
  return static_cast<size_t>(round_up(out_padded_, 16) + (gated_ ? threads_ * part_pixels_ * in_padded_ : 0)) *
         sizeof(float);
}

void PointwiseConv::run(const float* src, const float* weights, const float* bias, const float* residual,
                        const float* gate, float* dst, std::byte* workspace, const Parallel& parallel) const {
  float* padded_bias = reinterpret_cast<float*>(workspace);
  float* gated = padded_bias + round_up(out_padded_, 16);
  std::memset(padded_bias, 0, static_cast<size_t>(out_padded_) * sizeof(float));
  if (bias) std::memcpy(padded_bias, bias, static_cast<size_t>(out_channels_) * sizeof(float));
  const int64_t items = batch_ * parts_ * panel_parts_, plane = pixels_ * block_;
  const int group = blocked_panel_group(block_);
  std::atomic<int64_t> next{0};
  parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, items)), [&](int slot) {
    float* own = gated + slot * part_pixels_ * in_padded_;
    int64_t gated_part = -1;
    for (int64_t item = next++; item < items; item = next++) {
      const int64_t part = item / panel_parts_, panel_part = item % panel_parts_;
      const int64_t n = part / parts_, begin = part % parts_ * part_pixels_;
      const int64_t count = std::min(part_pixels_, pixels_ - begin);
      PointwiseRun run;
      const float* from = src + n * in_padded_ * pixels_ + begin * block_;
      run.src_block = plane;
      if (gated_) {
        if (gated_part != part)
          for (int64_t c = 0; c < in_padded_; c += block_)
            scale_pixels(from + c * pixels_, gate + n * in_padded_ + c, count, block_, own + c * count);
        gated_part = part;
        from = own;
        run.src_block = count * block_;
      }
      run.offsets = offsets_.data();
      run.dst_block = plane;
      run.pixels = count;
      const int64_t last_panel = (panel_part + 1) * panels_ / panel_parts_;
      run.weights_panel = kBlockedPanel * channels_;
      for (int64_t panel = panel_part * panels_ / panel_parts_; panel < last_panel; panel += run.panels) {
        const int64_t channel = panel * kBlockedPanel;
        const int64_t at = (n * out_padded_ + channel) * pixels_ + begin * block_;
        run.width = blocked_panel_width(out_channels_, panel, block_);
        run.panels = last_panel - panel >= group ? group : 1;
        run.dst = dst + at;
        for (int64_t c = 0; c < channels_; c += depth_) {
          run.src = from + c / block_ * run.src_block;
          run.channels = std::min(depth_, channels_ - c);
          run.weights = weights + channel * channels_ + c * run.width;
          const bool last_chunk = c + depth_ >= channels_;
          run.next_weights = !last_chunk ? run.weights + run.channels * run.width
                             : panel + run.panels < panels_
                                 ? weights + (channel + run.panels * kBlockedPanel) * channels_
                                 : nullptr;
          // The first chunk of channels takes bias and residual, the others continue its sums.
          run.bias = c == 0 ? padded_bias + channel : kZeros;
          run.residual = c > 0 ? run.dst : residual ? residual + at : nullptr;
          run.activation = last_chunk ? epilogue_.activation : ActivationSpec{};
          pointwise_run(run, block_);
        }
        // Channels behind the last one stay zero whatever the activation makes of zero.
        const int64_t end = std::min(out_padded_, channel + run.panels * run.width);
        for (int64_t c = channel; c < end && end > out_channels_; c += block_)
          clear_channels(run.dst + (c - channel) / block_ * plane, count, block_, out_channels_ - c);
      }
    }
  });
}

}  // namespace fastort::kernels
