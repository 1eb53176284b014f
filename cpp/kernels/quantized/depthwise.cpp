#include <algorithm>
#include <cstring>

#include "kernels/quantized/conv.h"
#include "kernels/quantized/depthwise_quads.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantized/depthwise.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/quantized/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::CappedTag<int32_t, 16>;
using D16 = hn::Repartition<int16_t, D32>;
using Plan = QuantizedDepthwise::Plan;
using Sizes = QuantizedDepthwise::Sizes;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D16()));

// Interleaving works within 128 bits: item i of the lower or upper vector of 32-bit sums belongs to this channel.
int64_t channel_of(bool upper, int64_t i) { return i / 4 * 8 + (upper ? 4 : 0) + i % 4; }

// What the blocks of a pixel share, apart from memory that the bytes stored could be thought to change.
struct Pixel {
  int64_t channels, blocks, pairs;
  const int16_t* weights;
  const int32_t* bias;
  const float* scales;
  Requantize<D32> requantize;

  explicit Pixel(const Plan& plan)
      : channels(plan.channels),
        blocks(plan.blocks),
        pairs(plan.pairs),
        weights(plan.weights.data()),
        bias(plan.bias.data()),
        scales(plan.scales.data()),
        requantize(plan.low, plan.high, plan.zero) {}
};

// kPairs is the number of pairs of taps, or 0 where it is not known here.
template <int kPairs, class T, class Y>
HWY_INLINE void block_of_channels(const Pixel& pixel, const T* const* taps, int64_t block, int64_t first, size_t count,
                                  Y* dst) {
  const D32 d32;
  const D16 d16;
  const hn::Rebind<float, D32> df;
  const hn::Rebind<T, D16> d8;
  const hn::Rebind<Y, D16> dy;
  const int64_t pairs = kPairs > 0 ? kPairs : pixel.pairs;
  const int16_t* w = pixel.weights + block * pairs * 2 * kLanes;
  const int32_t* bias = pixel.bias + block * kLanes;
  auto low = hn::LoadU(d32, bias), high = hn::LoadU(d32, bias + kLanes / 2);
  const bool whole = count == static_cast<size_t>(kLanes);
  _Pragma("GCC unroll 5") for (int64_t p = 0; p < pairs; ++p, w += 2 * kLanes) {
    const T *from0 = taps[2 * p] + first, *from1 = taps[2 * p + 1] + first;
    const auto even = hn::PromoteTo(d16, whole ? hn::LoadU(d8, from0) : hn::LoadN(d8, from0, count));
    const auto odd = hn::PromoteTo(d16, whole ? hn::LoadU(d8, from1) : hn::LoadN(d8, from1, count));
    const auto w0 = hn::LoadU(d16, w), w1 = hn::LoadU(d16, w + kLanes);
    low = hn::Add(low, hn::WidenMulPairwiseAdd(d32, hn::InterleaveLower(d16, even, odd), w0));
    high = hn::Add(high, hn::WidenMulPairwiseAdd(d32, hn::InterleaveUpper(d16, even, odd), w1));
  }
  const float* scales = pixel.scales + block * kLanes;
  low = pixel.requantize(low, hn::LoadU(df, scales));
  high = pixel.requantize(high, hn::LoadU(df, scales + kLanes / 2));
  const auto bytes = hn::DemoteTo(dy, hn::ReorderDemote2To(d16, low, high));
  if (whole)
    hn::StoreU(bytes, dy, dst + first);
  else
    hn::StoreN(bytes, dy, dst + first, count);
}

template <int kPairs, class T, class Y>
HWY_INLINE void compute_pixel(const Pixel& pixel, const T* const* taps, Y* dst) {
  const int64_t channels = pixel.channels;
  if (channels < kLanes) return block_of_channels<0>(pixel, taps, 0, 0, static_cast<size_t>(channels), dst);
  const int64_t whole = channels / kLanes;
  for (int64_t b = 0; b < whole; ++b)
    block_of_channels<kPairs>(pixel, taps, b, b * kLanes, static_cast<size_t>(kLanes), dst);
  if (whole < pixel.blocks)
    block_of_channels<kPairs>(pixel, taps, whole, channels - kLanes, static_cast<size_t>(kLanes), dst);
}

template <int kPairs, class T, class Y>
void rows(const Plan& plan, const Sizes& s, int64_t begin, int64_t end, const T* src, const T* padding, Y* dst) {
  const T* taps[QuantizedDepthwise::kMaxTaps + 1];
  const Pixel pixel(plan);
  const int64_t channels = plan.channels, step = s.stride_x * channels;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t y0 = row % s.out_height * s.stride_y - s.pad_top;
    const T* image = src + row / s.out_height * s.height * s.width * channels;
    Y* to = dst + row * s.out_width * channels;
    const bool inside_y = y0 >= 0 && y0 + (s.kernel_height - 1) * s.dilation_y < s.height;
    bool stepping = false;
    for (int64_t x = 0; x < s.out_width; ++x, to += channels) {
      const int64_t x0 = x * s.stride_x - s.pad_left;
      const bool inside = inside_y && x0 >= 0 && x0 + (s.kernel_width - 1) * s.dilation_x < s.width;
      if (stepping && inside) {
        for (int64_t t = 0; t < plan.taps; ++t) taps[t] += step;
      } else {
        int64_t t = 0;
        for (int64_t ky = 0; ky < s.kernel_height; ++ky) {
          const int64_t y = y0 + ky * s.dilation_y;
          for (int64_t kx = 0; kx < s.kernel_width; ++kx, ++t) {
            const int64_t at = x0 + kx * s.dilation_x;
            const bool there = y >= 0 && y < s.height && at >= 0 && at < s.width;
            taps[t] = there ? image + (y * s.width + at) * channels : padding;
          }
        }
        taps[t] = padding;
      }
      stepping = inside;
      compute_pixel<kPairs>(pixel, taps, to);
    }
  }
}

void Rows(const Plan& plan, const Sizes& sizes, int64_t begin, int64_t end, const std::byte* src,
          const std::byte* padding, std::byte* dst) {
  const auto run = [&]<class T, class Y>(T, Y) {
    // 3x3 kernels have five pairs, 5x5 thirteen.
    const auto chosen = plan.pairs == 5 ? rows<5, T, Y> : plan.pairs == 13 ? rows<13, T, Y> : rows<0, T, Y>;
    chosen(plan, sizes, begin, end, reinterpret_cast<const T*>(src), reinterpret_cast<const T*>(padding),
           reinterpret_cast<Y*>(dst));
  };
  if (plan.src_signed)
    plan.dst_signed ? run(int8_t{}, int8_t{}) : run(int8_t{}, uint8_t{});
  else
    plan.dst_signed ? run(uint8_t{}, int8_t{}) : run(uint8_t{}, uint8_t{});
}

void PackDepthwise(const QuantizedConvWeights& weights, const QuantizedConvOutput& output, int32_t src_zero,
                   Plan& plan) {
  plan.blocks = (plan.channels + kLanes - 1) / kLanes;
  plan.pairs = (plan.taps + 1) / 2;
  plan.weights.assign(static_cast<size_t>(plan.blocks * plan.pairs * 2 * kLanes), 0);
  plan.bias.assign(static_cast<size_t>(plan.blocks * kLanes), 0);
  plan.scales.assign(static_cast<size_t>(plan.blocks * kLanes), 0);
  const auto weight = [&](int64_t c, int64_t tap) {
    const std::byte byte = weights.data[c * plan.taps + tap];
    const int32_t value = weights.is_signed ? static_cast<int8_t>(byte) : static_cast<uint8_t>(byte);
    return value - weights.zeros[static_cast<size_t>(c)];
  };
  for (int64_t b = 0; b < plan.blocks; ++b) {
    const int64_t first = plan.channels < kLanes ? 0 : std::min(b * kLanes, plan.channels - kLanes);
    for (int64_t i = 0; i < kLanes; ++i) {
      const bool upper = i >= kLanes / 2;
      const int64_t lane = i % (kLanes / 2), c = first + channel_of(upper, lane);
      if (c >= plan.channels) continue;
      const auto at = static_cast<size_t>(b * kLanes + i);
      int32_t total = 0;
      for (int64_t t = 0; t < plan.taps; ++t) {
        total += weight(c, t);
        const int64_t vector = (b * plan.pairs + t / 2) * 2 + (upper ? 1 : 0);
        plan.weights[static_cast<size_t>(vector * kLanes + 2 * lane + t % 2)] = static_cast<int16_t>(weight(c, t));
      }
      plan.bias[at] = static_cast<int32_t>(static_cast<uint32_t>(output.bias[static_cast<size_t>(c)]) -
                                           static_cast<uint32_t>(total * src_zero));
      plan.scales[at] = output.scales[static_cast<size_t>(c)];
    }
  }
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Rows);
HWY_EXPORT(PackDepthwise);

QuantizedDepthwise::QuantizedDepthwise(const ConvShape& shape, bool src_signed, int32_t src_zero,
                                       const QuantizedConvWeights& weights, const QuantizedConvOutput& output)
    : batch_(shape.batch), src_zero_(src_zero) {
  plan_.channels = shape.in_channels;
  if (DepthwiseQuads quads(shape, src_signed, src_zero, weights, output); quads) {
    quads_ = std::make_shared<const DepthwiseQuads>(std::move(quads));
    return;
  }
  const bool flat = shape.rank == 1;
  const size_t x = flat ? 0 : 1;
  const auto along_y = [&](const ConvShape::Spatial& values, int64_t one) { return flat ? one : values[0]; };
  sizes_ = {along_y(shape.in, 1),       shape.in[x],       along_y(shape.out, 1),       shape.out[x],
            along_y(shape.kernel, 1),   shape.kernel[x],   along_y(shape.stride, 1),    shape.stride[x],
            along_y(shape.dilation, 1), shape.dilation[x], along_y(shape.pad_begin, 0), shape.pad_begin[x]};
  plan_.taps = shape.taps();
  plan_.low = output.low, plan_.high = output.high, plan_.zero = output.zero;
  plan_.src_signed = src_signed, plan_.dst_signed = output.is_signed;
  HWY_DYNAMIC_DISPATCH(PackDepthwise)(weights, output, src_zero, plan_);
}

size_t QuantizedDepthwise::workspace_bytes() const { return static_cast<size_t>(plan_.channels); }

void QuantizedDepthwise::run(const std::byte* src, std::byte* dst, std::byte* workspace,
                             const Parallel& parallel) const {
  // A pixel of zero points stands for the padding.
  std::memset(workspace, src_zero_ & 255, static_cast<size_t>(plan_.channels));
  if (quads_) return quads_->run(src, workspace, dst, parallel);
  const int64_t row_work = std::max<int64_t>(1, sizes_.out_width * plan_.channels * plan_.pairs);
  parallel.range(batch_ * sizes_.out_height, 1 + 40'000 / row_work, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Rows)(plan_, sizes_, begin, end, src, workspace, dst);
  });
}

}  // namespace fastort::kernels
#endif
