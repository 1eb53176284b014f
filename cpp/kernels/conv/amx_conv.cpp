#include "kernels/conv/amx_conv.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/gemm/amx_kernels.h"

namespace fastort::kernels {

namespace {

constexpr int64_t kBlock = 16, kPanel = 32, kPixelBytes = 64, kParts = 3;
// Of the parts of a strip, which are read once for each panel: with those of a panel they stay in the second cache.
constexpr int64_t kStripBytes = 640 << 10;
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
  bool fits = false;
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
  const int64_t most =
      std::clamp(kStripBytes / position_bytes - reach_, 2 * kAmxRows, AmxBlock::kMostRows) / kAmxRows * kAmxRows;
  strips_ = ceil_div(positions_, most);
  // As many for each thread, where there are several.
  if (strips_ > 1 && strips_ % threads_ != 0)
    strips_ = std::min(round_up(strips_, threads_), ceil_div(positions_, kAmxRows));
  // Whole kAmxRows, so that each row is summed up the same way however many strips there are.
  strip_ = round_up(ceil_div(positions_, strips_), kAmxRows);
  strips_ = ceil_div(positions_, strip_);
  panel_groups_ = std::clamp<int64_t>(ceil_div(threads_ == 1 ? 1 : kItems * threads_, strips_), 1, panels_);
  // Odd, for the parts not to meet in the same places of the caches.
  held_ = (strip_ + reach_) | 1;
  for (int64_t s = 0; s < channel_steps_; ++s)
    for (int64_t tap = 0; tap < taps; ++tap) {
      const auto i = static_cast<size_t>(tap);
      offsets_.push_back(((tap_phase_[i] * channel_steps_ + s) * kParts * held_ + tap_shift_[i]) * kPixelBytes);
    }
}

double AmxConv::nanoseconds() const noexcept {
  // Of one thread on a Xeon of 2.6 GHz, within an eighth of what layers of 7 x 7 to 224 x 224 pixels took: a
  // multiply-add, a number of the input and of the weights that becomes parts, an output; and what threads wait.
  constexpr double kMultiplyAdd = 1.0 / 200, kLeft = 0.28, kRight = 0.13, kResult = 0.12, kThreads = 9000;
  const auto strips = static_cast<double>(strips_), columns = static_cast<double>(panels_ * kPanel);
  const double depth = static_cast<double>(steps_ * kAmxDepth);
  const double rows = strips * static_cast<double>(round_up(strip_, 16));
  const double groups = strips_ >= threads_ ? 1 : static_cast<double>(std::min<int64_t>(panel_groups_, threads_));
  const double left = groups * (rows + strips * static_cast<double>(reach_)) *
                      static_cast<double>(static_cast<int64_t>(phases_.size()) * channel_steps_ * kAmxDepth);
  const double work = rows * columns * depth * kMultiplyAdd + left * kLeft + strips * columns * depth * kRight +
                      rows * columns * kResult;
  return (threads_ > 1 ? kThreads : 0) + work / threads_;
}

size_t AmxConv::weights_bytes() const noexcept {
  return static_cast<size_t>(panels_ * kPanel * steps_ * kAmxDepth) * sizeof(float);
}

void AmxConv::pack_weights(const float* weights, float* dst, const Parallel& parallel) const {
  // [panel][32 channels][tap][channel][output]
  const auto taps = static_cast<int64_t>(tap_shift_.size());
  parallel.range(panels_, 1, [&](int64_t begin, int64_t end) {
    float* to = dst + begin * kPanel * steps_ * kAmxDepth;
    for (int64_t panel = begin; panel < end; ++panel)
      for (int64_t first = 0; first < channel_steps_ * kAmxDepth; first += kAmxDepth)
        for (int64_t tap = 0; tap < taps; ++tap)
          for (int64_t c = first; c < first + kAmxDepth; ++c)
            for (int64_t m = panel * kPanel; m < (panel + 1) * kPanel; ++m)
              *to++ = c < channels_ && m < out_channels_ ? weights[(m * channels_ + c) * taps + tap] : 0.0f;
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

// The parts of the input's pixels that the strip at position `begin` reads.
void AmxConv::split(const float* src, int64_t begin, Worker& worker) const {
  const int64_t needed = std::min(strip_, positions_ - begin) + reach_, plane = in_.y * in_.x * kBlock;
  const int64_t part = held_ * kPixelBytes;
  uint32_t largest = 0;
  std::byte* to = worker.parts;
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
        if (const int64_t pixels = std::min(until - from, needed - i); pixels > 0) {
          const int64_t x = from * stride_.x + phase.first.x - pad_.x;
          const float* const low = src + (image * blocks_ + 2 * s) * plane + (y * in_.x + x) * kBlock;
          const float* const high = 2 * s + 1 < blocks_ ? low + plane : nullptr;
          largest =
              std::max(largest, amx_split_pixels(low, high, stride_.x * kBlock, pixels, to + i * kPixelBytes, part));
          i += pixels;
        }
        clear(pitch_.x - until);
      }
    }
  }
  worker.fits = amx_fits(largest);
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
void AmxConv::run_plain(const float* src, AmxBlock block, int64_t begin) const {
  std::vector<const float*> numbers(static_cast<size_t>(2 * steps_));
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
          for (int64_t b = 2 * s; b < 2 * s + 2; ++b)
            *to++ =
                in_picture && b < blocks_ ? src + (image * blocks_ + b) * plane + (y * in_.x + x) * kBlock : nullptr;
        }
    amx_plain_pixel(block, numbers.data());
  }
}

void AmxConv::run(const float* src, const float* weights, const float* bias, const float* residual, float* dst,
                  std::byte* workspace, const Parallel& parallel) const {
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
  const int64_t items = strips_ * panel_groups_, out_plane = out_.y * out_.x * kBlock;
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
          split(src, begin, worker);
          place(begin, count, worker.places);
          worker.strip = strip;
        }
        const int64_t last_panel = panels_ * (group + 1) / panel_groups_;
        const int64_t panel_floats = kPanel * steps_ * kAmxDepth;
        for (int64_t panel = panels_ * group / panel_groups_, next; panel < last_panel; panel = next) {
          next = std::min(panel + AmxBlock::kMostPanels, last_panel);
          AmxBlock block;
          block.left = {worker.parts, offsets_.data(), held_ * kPixelBytes, kAmxRows * kPixelBytes};
          block.rows = count;
          block.cols = std::min(out_channels_, next * kPanel) - panel * kPanel;
          block.depth = steps_ * kAmxDepth;
          block.b = weights + panel * panel_floats;
          block.next_b = next < panels_ ? weights + next * panel_floats : weights;
          block.c = dst + panel * (kPanel / kBlock) * out_plane;
          block.c_block = out_plane;
          block.places = worker.places;
          block.epilogue.activation = epilogue_.activation;
          if (bias) block.epilogue.bias = padded_bias + panel * kPanel;
          if (residual) block.epilogue.residual = residual + (block.c - dst);
          if (!worker.fits) {
            run_plain(src, block, begin);
          } else if (const uint64_t unsuitable = amx_block(block, worker.scratch); unsuitable != 0) {
            run_plain(src, block, begin);
          }
        }
      }
    }
    amx_end();
  });
}

}  // namespace fastort::kernels
