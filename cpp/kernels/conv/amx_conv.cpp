#include "kernels/conv/amx_conv.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "kernels/gemm/amx_kernels.h"

namespace fastort::kernels {

namespace {

constexpr int64_t kBlock = 16, kPanel = 32, kPixelBytes = 64, kParts = 3;
// Of the parts of a strip, which are read once for each panel: with those of a panel they stay in the second cache.
constexpr int64_t kStripBytes = 800 << 10;
// Strips into which positions are cut for threads to share, where they have so many positions each. What strips are
// does not depend on the number of threads: one of them is scaled, or takes the plain form, as a whole.
constexpr int64_t kStrips = 8, kLeastStrip = 64, kMostStrip = AmxBlock::kMostRows;
// Outputs whose largest weight is smaller have their weights multiplied by a power of two.
constexpr float kSmall = 0x1p-40f;
// Work items for each thread, for all to end together.
constexpr int64_t kItems = 4;

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
size_t aligned(int64_t bytes) { return static_cast<size_t>(round_up(bytes, 64)); }

}  // namespace

// What a thread keeps between its strips.
struct AmxConv::Worker {
  std::byte* parts;
  int64_t* places;
  std::byte* scratch;
  int64_t strip = -1;
  float scale = 1;  // of the strip's numbers; 0: they do not suit
};

AmxConv::AmxConv(const ConvShape& shape, const ConvEpilogue& epilogue, int threads)
    : epilogue_(epilogue),
      threads_(threads),
      batch_(shape.batch),
      channels_(shape.in_channels),
      out_channels_(shape.out_channels),
      blocks_(ceil_div(shape.in_channels, kBlock)),
      out_blocks_(ceil_div(shape.out_channels, kBlock)) {
  const auto sizes = [&](const ConvShape::Spatial& s, int64_t single) {
    return shape.rank == 1 ? Sizes{single, s[0]} : Sizes{s[0], s[1]};
  };
  in_ = sizes(shape.in, 1), out_ = sizes(shape.out, 1), kernel_ = sizes(shape.kernel, 1);
  stride_ = sizes(shape.stride, 1), dilation_ = sizes(shape.dilation, 1), pad_ = sizes(shape.pad_begin, 0);
  const Sizes pad_end = sizes(shape.pad_end, 0);
  pitch_ = {ceil_div(in_.y + pad_.y + pad_end.y, stride_.y), ceil_div(in_.x + pad_.x + pad_end.x, stride_.x)};
  positions_ = ((batch_ - 1) * pitch_.y + out_.y - 1) * pitch_.x + out_.x;
  for (int64_t y = 0; y < kernel_.y; ++y)
    for (int64_t x = 0; x < kernel_.x; ++x) {
      const Sizes at{y * dilation_.y, x * dilation_.x}, first{at.y % stride_.y, at.x % stride_.x};
      const auto found = std::find_if(phases_.begin(), phases_.end(), [&](const Phase& phase) {
        return phase.first.y == first.y && phase.first.x == first.x;
      });
      tap_phase_.push_back(found - phases_.begin());
      if (found == phases_.end()) phases_.push_back({first});
      tap_shift_.push_back(at.y / stride_.y * pitch_.x + at.x / stride_.x);
      reach_ = std::max(reach_, tap_shift_.back());
    }
  const auto taps = static_cast<int64_t>(tap_shift_.size()), phases = static_cast<int64_t>(phases_.size());
  channel_steps_ = ceil_div(blocks_, 2);
  steps_ = channel_steps_ * taps;
  panels_ = ceil_div(out_channels_, kPanel);

  const int64_t position_bytes = phases * channel_steps_ * kParts * kPixelBytes;
  const int64_t most = std::max(kStripBytes / position_bytes - reach_, 2 * kAmxRows) / kAmxRows * kAmxRows;
  const int64_t least = std::max(ceil_div(positions_, most), std::min(kStrips, ceil_div(positions_, kMostStrip)));
  // Few strips cut weights into parts less often, more of them the input. The choice is that for two threads.
  int64_t best = least;
  double best_time = std::numeric_limits<double>::infinity();
  for (int64_t strips = least; strips <= std::max(least, std::min(kStrips, positions_ / kLeastStrip)); ++strips) {
    cut(strips, 2);
    if (const double time = nanoseconds(2); time < best_time) best = strips, best_time = time;
  }
  cut(best, threads_);
  // Odd, for the parts not to meet in the same places of the caches.
  held_ = (strip_ + reach_) | 1;
  for (int64_t s = 0; s < channel_steps_; ++s)
    for (int64_t tap = 0; tap < taps; ++tap) {
      const auto i = static_cast<size_t>(tap);
      offsets_.push_back(((tap_phase_[i] * channel_steps_ + s) * kParts * held_ + tap_shift_[i]) * kPixelBytes);
    }
}

void AmxConv::cut(int64_t strips, int threads) {
  strip_ = round_up(ceil_div(positions_, strips), kAmxRows / 2);
  strips_ = ceil_div(positions_, strip_);
  block_rows_ = round_up(ceil_div(strip_, ceil_div(strip_, AmxBlock::kMostRows)), kAmxRows);
  panel_groups_ = std::clamp<int64_t>(ceil_div(threads == 1 ? 1 : kItems * threads, strips_), 1, panels_);
}

double AmxConv::nanoseconds(int threads) const noexcept {
  // On a Xeon of 2.6 GHz, a tenth more than what layers of 7 x 7 to 56 x 56 pixels took (within a tenth), because the
  // costs of others are too high for small layers: a multiply-add, a number of the input and of the weights that
  // becomes parts, an output; and what threads wait.
  constexpr double kMultiplyAdd = 1.0 / 260, kLeft = 0.275, kRight = 0.34, kResult = 0.21, kThreads = 7700, kRun = 550;
  // Of the thread that has most: items, each a share of a strip's panels, their panels, and the strips that it reads.
  const int64_t items = ceil_div(strips_ * panel_groups_, threads), panels = ceil_div(items * panels_, panel_groups_);
  const int64_t read = ceil_div(items, panel_groups_), depth = steps_ * kAmxDepth;
  const auto results = static_cast<double>(std::min(panels * strip_, panels_ * positions_) * kPanel);
  const auto left = static_cast<double>((std::min(read * strip_, positions_) + read * reach_) *
                                        static_cast<int64_t>(phases_.size()) * channel_steps_ * kAmxDepth);
  const auto right = static_cast<double>(panels * ceil_div(strip_, block_rows_) * kPanel * depth);
  return kRun + (threads > 1 ? kThreads : 0) + results * static_cast<double>(depth) * kMultiplyAdd + left * kLeft +
         right * kRight + results * kResult;
}

size_t AmxConv::weights_bytes() const noexcept {
  return static_cast<size_t>(panels_ * kPanel * (1 + steps_ * kAmxDepth)) * sizeof(float);
}

void AmxConv::pack_weights(const float* weights, float* dst, const Parallel& parallel) const {
  // What each output's sums are multiplied with; then [panel][32 channels][tap][channel][output].
  const auto taps = static_cast<int64_t>(tap_shift_.size()), each = channels_ * taps;
  parallel.range(panels_, 1, [&](int64_t begin, int64_t end) {
    std::array<int, kPanel> exponents;
    float* to = dst + panels_ * kPanel + begin * kPanel * steps_ * kAmxDepth;
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kPanel, count = std::min(kPanel, out_channels_ - first);
      for (int64_t m = 0; m < kPanel; ++m) {
        const float* const row = weights + (first + m) * each;
        float largest = 0;
        for (int64_t i = 0; m < count && i < each; ++i) largest = std::max(largest, std::abs(row[i]));
        const bool scaled = largest > 0 && largest < kSmall;
        exponents[static_cast<size_t>(m)] = scaled ? std::ilogb(largest) : 0;
        dst[first + m] = std::ldexp(1.0f, exponents[static_cast<size_t>(m)]);
      }
      for (int64_t some = 0; some < channel_steps_ * kAmxDepth; some += kAmxDepth)
        for (int64_t tap = 0; tap < taps; ++tap)
          for (int64_t c = some; c < some + kAmxDepth; ++c)
            for (int64_t m = 0; m < kPanel; ++m) {
              const float w = c < channels_ && m < count ? weights[(first + m) * each + c * taps + tap] : 0.0f;
              const int exponent = exponents[static_cast<size_t>(m)];
              *to++ = exponent == 0 ? w : std::ldexp(w, -exponent);
            }
    }
  });
}

size_t AmxConv::workspace_bytes() const noexcept {
  const auto phases = static_cast<int64_t>(phases_.size());
  const size_t own = aligned(phases * channel_steps_ * kParts * held_ * kPixelBytes) +
                     aligned(strip_ * static_cast<int64_t>(sizeof(int64_t))) +
                     aligned(static_cast<int64_t>(amx_scratch_bytes(steps_ * kAmxDepth)));
  return aligned(panels_ * kPanel * static_cast<int64_t>(sizeof(float))) + static_cast<size_t>(threads_) * own;
}

// Row and column among the positions of an image.
AmxConv::Sizes AmxConv::place_of(int64_t position, int64_t& image) const {
  const int64_t row = position / pitch_.x;
  image = row / pitch_.y;
  return {row % pitch_.y, position % pitch_.x};
}

// The parts of the input's pixels, times `scale`, that the strip at position `begin` reads; and the largest's measure.
uint32_t AmxConv::split(const float* src, const float* gate, float scale, int64_t begin, std::byte* to) const {
  const int64_t needed = std::min(strip_, positions_ - begin) + reach_, plane = in_.y * in_.x * kBlock;
  const int64_t part = held_ * kPixelBytes;
  uint32_t largest = 0;
  std::array<float, 2 * kBlock> factors;
  for (const Phase& phase : phases_) {
    // Columns [left, right) of a row are in the picture.
    const int64_t left = std::max<int64_t>(0, ceil_div(pad_.x - phase.first.x, stride_.x));
    const int64_t right = std::clamp<int64_t>(ceil_div(in_.x + pad_.x - phase.first.x, stride_.x), left, pitch_.x);
    for (int64_t s = 0; s < channel_steps_; ++s, to += kParts * part) {
      for (int64_t i = 0; i < needed;) {
        int64_t image = 0;
        const Sizes at = place_of(begin + i, image);
        const int64_t y = at.y * stride_.y + phase.first.y - pad_.y;
        const bool in_picture = image < batch_ && y >= 0 && y < in_.y;
        const int64_t from = in_picture ? std::clamp(left, at.x, pitch_.x) : pitch_.x;
        const int64_t until = in_picture ? std::clamp(right, from, pitch_.x) : pitch_.x;
        const auto clear = [&](int64_t count) {
          count = std::min(count, needed - i);
          for (int64_t j = 0; j < kParts; ++j)
            std::memset(to + j * part + i * kPixelBytes, 0, static_cast<size_t>(count * kPixelBytes));
          i += count;
        };
        clear(from - at.x);
        AmxPixels pixels;
        pixels.count = std::min(until - from, needed - i);
        if (pixels.count > 0) {
          const int64_t x = from * stride_.x + phase.first.x - pad_.x, block = image * blocks_ + 2 * s;
          const bool both = 2 * s + 1 < blocks_;
          pixels.low = src + block * plane + (y * in_.x + x) * kBlock;
          pixels.high = both ? pixels.low + plane : nullptr;
          pixels.low_gate = gate ? gate + block * kBlock : nullptr;
          if (scale != 1) {
            for (int64_t c = 0; c < (both ? 2 : 1) * kBlock; ++c)
              factors[static_cast<size_t>(c)] = gate ? pixels.low_gate[c] * scale : scale;
            pixels.low_gate = factors.data();
          }
          pixels.high_gate = pixels.low_gate && both ? pixels.low_gate + kBlock : nullptr;
          pixels.stride = stride_.x * kBlock;
          largest = std::max(largest, amx_split_pixels(pixels, to + i * kPixelBytes, part));
          i += pixels.count;
        }
        clear(pitch_.x - until);
      }
    }
  }
  return largest;
}

// Floats from the first output to each of a strip's in its first block of channels.
void AmxConv::place(int64_t begin, int64_t count, int64_t* places) const {
  for (int64_t i = 0; i < count;) {
    int64_t image = 0;
    const Sizes at = place_of(begin + i, image);
    const int64_t row = (image * out_blocks_ * out_.y + at.y) * out_.x;
    for (int64_t x = at.x; x < pitch_.x && i < count; ++x, ++i)
      places[i] = at.y < out_.y && x < out_.x ? (row + x) * kBlock : -1;
  }
}

// A strip of numbers that do not suit the unit.
void AmxConv::run_plain(const float* src, const float* gate, AmxBlock block, int64_t begin) const {
  std::vector<const float*> numbers(static_cast<size_t>(2 * steps_));
  std::vector<float> gated(gate ? numbers.size() * kBlock : 0);
  const int64_t rows = block.rows, plane = in_.y * in_.x * kBlock;
  block.rows = 1;
  for (int64_t i = 0; i < rows; ++i, ++block.places) {
    if (*block.places < 0) continue;
    int64_t image = 0;
    const Sizes at = place_of(begin + i, image);
    auto to = numbers.begin();
    for (int64_t s = 0; s < channel_steps_; ++s)
      for (int64_t ky = 0; ky < kernel_.y; ++ky)
        for (int64_t kx = 0; kx < kernel_.x; ++kx) {
          const int64_t y = at.y * stride_.y + ky * dilation_.y - pad_.y;
          const int64_t x = at.x * stride_.x + kx * dilation_.x - pad_.x;
          const bool in_picture = y >= 0 && y < in_.y && x >= 0 && x < in_.x;
          for (int64_t b = 2 * s; b < 2 * s + 2; ++b, ++to) {
            const int64_t at_block = image * blocks_ + b;
            *to = in_picture && b < blocks_ ? src + at_block * plane + (y * in_.x + x) * kBlock : nullptr;
            if (!*to || !gate) continue;
            float* const product = gated.data() + (to - numbers.begin()) * kBlock;
            std::transform(*to, *to + kBlock, gate + at_block * kBlock, product, std::multiplies<>());
            *to = product;
          }
        }
    amx_plain_pixel(block, numbers.data());
  }
}

void AmxConv::run(const float* src, const float* weights, const float* bias, const float* residual, const float* gate,
                  float* dst, std::byte* workspace, const Parallel& parallel) const {
  float* const padded_bias = reinterpret_cast<float*>(workspace);
  std::byte* const own = workspace + aligned(panels_ * kPanel * static_cast<int64_t>(sizeof(float)));
  const size_t parts_bytes =
      aligned(static_cast<int64_t>(phases_.size()) * channel_steps_ * kParts * held_ * kPixelBytes);
  const size_t places_bytes = aligned(strip_ * static_cast<int64_t>(sizeof(int64_t)));
  const size_t scratch_bytes = aligned(static_cast<int64_t>(amx_scratch_bytes(steps_ * kAmxDepth)));
  if (bias) {
    std::copy(bias, bias + out_channels_, padded_bias);
    std::fill(padded_bias + out_channels_, padded_bias + panels_ * kPanel, 0.0f);
  }
  const float* const factors = weights;
  weights += panels_ * kPanel;
  const int64_t items = strips_ * panel_groups_, out_plane = out_.y * out_.x * kBlock;
  const int64_t panel_floats = kPanel * steps_ * kAmxDepth;
  const int workers = static_cast<int>(std::min<int64_t>(std::min(parallel.threads(), threads_), items));
  // Each thread begins with items of its own, whose strips it has cut into parts already, and then helps the others.
  std::vector<std::atomic<int64_t>> taken(static_cast<size_t>(workers));
  parallel.chunks(workers, [&](int id) {
    Worker worker;
    worker.parts = own + static_cast<size_t>(id) * (parts_bytes + places_bytes + scratch_bytes);
    worker.places = reinterpret_cast<int64_t*>(worker.parts + parts_bytes);
    worker.scratch = worker.parts + parts_bytes + places_bytes;
    amx_begin(worker.scratch);
    for (int turn = 0; turn < workers; ++turn) {
      const int whose = (id + turn) % workers;
      const int64_t first = items * whose / workers, end = items * (whose + 1) / workers;
      for (int64_t item = first + taken[static_cast<size_t>(whose)]++; item < end && !parallel.cancelled();
           item = first + taken[static_cast<size_t>(whose)]++) {
        const int64_t strip = item / panel_groups_, group = item % panel_groups_, begin = strip * strip_;
        const int64_t count = std::min(strip_, positions_ - begin);
        if (worker.strip != strip) {
          worker.scale = amx_scale(split(src, gate, 1, begin, worker.parts));
          if (worker.scale != 0 && worker.scale != 1) split(src, gate, worker.scale, begin, worker.parts);
          place(begin, count, worker.places);
          worker.strip = strip;
        }
        const int64_t first_panel = panels_ * group / panel_groups_, last_panel = panels_ * (group + 1) / panel_groups_;
        for (int64_t row = 0; row < count; row += block_rows_)
          for (int64_t panel = first_panel, next; panel < last_panel; panel = next) {
            next = std::min(panel + AmxBlock::kMostPanels, last_panel);
            const int64_t follows = next == last_panel && row + block_rows_ < count ? first_panel : next % panels_;
            AmxBlock block;
            block.left = {worker.parts + row * kPixelBytes, offsets_.data(), held_ * kPixelBytes,
                          kAmxRows * kPixelBytes};
            block.rows = std::min(block_rows_, count - row);
            block.cols = std::min(out_channels_, next * kPanel) - panel * kPanel;
            block.depth = steps_ * kAmxDepth;
            block.b = weights + panel * panel_floats;
            block.next_b = weights + follows * panel_floats;
            block.c = dst + panel * (kPanel / kBlock) * out_plane;
            block.c_block = out_plane;
            block.places = worker.places + row;
            block.epilogue.activation = epilogue_.activation;
            if (bias) block.epilogue.bias = padded_bias + panel * kPanel;
            if (residual) block.epilogue.residual = residual + (block.c - dst);
            block.factors = factors + panel * kPanel;
            block.alpha = worker.scale == 0 ? 1 : 1 / worker.scale;
            if (worker.scale != 0 && amx_block(block, worker.scratch) == 0) continue;
            block.alpha = 1;
            run_plain(src, gate, block, begin + row);
          }
      }
    }
    amx_end();
  });
}

}  // namespace fastort::kernels
