#include "kernels/quantized/depthwise_quads.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantized/depthwise_quads.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/gemm/vnni-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {

using Plan = DepthwiseQuads::Plan;
constexpr int kSums = DepthwiseQuads::kSums;

#if FASTORT_VNNI

namespace hn = hwy::HWY_NAMESPACE;

// What becomes of a rounded sum: the zero point is added, the byte is clamped, and signed where it shall be.
template <class D8>
struct Limits {
  explicit Limits(const Plan& plan)
      : zero(hn::Set(hn::Repartition<int16_t, D8>(), plan.zero)),
        low(hn::Set(D8(), plan.low)),
        high(hn::Set(D8(), plan.high)),
        flip(hn::Set(D8(), plan.flip_result)) {}
  hn::Vec<hn::Repartition<int16_t, D8>> zero;
  hn::Vec<D8> low, high, flip;
};

// Rounds half to even, to the lowest number where it does not fit; hn::NearestInt mends that.
template <class VI, class VF>
HWY_INLINE VI rounded(VF value) {
  VI result;
  __asm__("vcvtps2dq %1, %0" : "=v"(result.raw) : "v"(value.raw));
  return result;
}

// The pixels that some results side by side read, row by row: those from `first` on at even steps (of no bytes in a row
// of padding), or where they have been found at the source's edges.
template <int kQuads, bool kInside>
struct Pixels {
  static constexpr int64_t kMaxRows = 8;
  const uint8_t* first[kMaxRows];
  int64_t steps[kMaxRows];
  const uint8_t* found[kInside ? 1 : kMaxRows][4 * kQuads];

  HWY_INLINE const uint8_t* at(int64_t row, int64_t tap) const {
    if constexpr (kInside) return first[row] + tap * steps[row];
    return found[row][tap];
  }
};

// kRows x kColumns results of one block of channels.
template <class D8, int kRows, int kColumns, int kQuads, bool kFlip, bool kInside>
HWY_INLINE void tile(const Plan& plan, const Limits<D8>& limits, int64_t block, const Pixels<kQuads, kInside>& source,
                     uint8_t* dst) {
  const D8 d8;
  const hn::Repartition<uint16_t, D8> du16;
  const hn::Repartition<int16_t, D8> d16;
  const hn::Repartition<int32_t, D8> d32;
  const hn::Repartition<float, D8> df;
  using V8 = hn::Vec<D8>;
  using V32 = hn::Vec<decltype(d32)>;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D8()));
  constexpr int64_t kColumn = kSums * kLanes;
  const int64_t first = std::min(block * kLanes, plan.channels - kLanes);
  const int64_t height = kQuads == 1 ? 3 : plan.kernel_height;
  const int64_t kernel_row = kQuads * plan.columns * kColumn;
  const int8_t* const weights = plan.weights.data() + block * height * kernel_row;
  const int32_t* const bias = plan.bias.data() + block * kLanes;

  V32 sums[kRows][kColumns][kSums];
#define FASTORT_EACH(i, n) _Pragma("GCC unroll 4") for (int i = 0; i < (n); ++i)
  FASTORT_EACH(i, kRows) FASTORT_EACH(j, kColumns) FASTORT_EACH(q, kSums) {
    sums[i][j][q] = hn::LoadU(d32, bias + q * kLanes / kSums);
  }
  const auto add_row = [&](int64_t r) HWY_ATTR {
    FASTORT_EACH(g, kQuads) {
      V8 pixels[4];
      FASTORT_EACH(t, 4) {
        pixels[t] = hn::LoadU(d8, source.at(r, 4 * g + t) + first);
        if constexpr (kFlip) pixels[t] = hn::Xor(pixels[t], hn::Set(d8, 0x80));
      }
      const auto low = hn::BitCast(du16, hn::InterleaveLower(d8, pixels[0], pixels[1]));
      const auto high = hn::BitCast(du16, hn::InterleaveUpper(d8, pixels[0], pixels[1]));
      const auto low2 = hn::BitCast(du16, hn::InterleaveLower(d8, pixels[2], pixels[3]));
      const auto high2 = hn::BitCast(du16, hn::InterleaveUpper(d8, pixels[2], pixels[3]));
      const V8 fours[kSums] = {hn::BitCast(d8, hn::InterleaveLower(du16, low, low2)),
                               hn::BitCast(d8, hn::InterleaveUpper(du16, low, low2)),
                               hn::BitCast(d8, hn::InterleaveLower(du16, high, high2)),
                               hn::BitCast(d8, hn::InterleaveUpper(du16, high, high2))};
      FASTORT_EACH(i, kRows) {
        if (r < i || r - i >= height) continue;
        const int8_t* const w = weights + (r - i) * kernel_row + g * plan.columns * kColumn;
        FASTORT_EACH(j, kColumns) FASTORT_EACH(q, kSums) {
          sums[i][j][q] = add_four_products_of(sums[i][j][q], fours[q], w + j * kColumn + q * kLanes);
        }
      }
    }
  };
  if constexpr (kQuads == 1) {
    FASTORT_EACH(r, 3 + kRows - 1) add_row(r);
  } else {
    for (int64_t r = 0; r < height + kRows - 1; ++r) add_row(r);
  }
  const float* const scales = plan.scales.data() + block * kLanes;
  FASTORT_EACH(i, kRows) FASTORT_EACH(j, kColumns) {
    auto& sum = sums[i][j];
    FASTORT_EACH(q, kSums) {
      const auto scale = hn::LoadU(df, scales + q * kLanes / kSums);
      sum[q] = rounded<V32>(hn::Mul(hn::ConvertTo(df, sum[q]), scale));
    }
    // What interleaving has parted comes together in order.
    const auto low = hn::SaturatedAdd(hn::ReorderDemote2To(d16, sum[0], sum[1]), limits.zero);
    const auto high = hn::SaturatedAdd(hn::ReorderDemote2To(d16, sum[2], sum[3]), limits.zero);
    const V8 bytes = hn::Min(hn::Max(hn::ReorderDemote2To(d8, low, high), limits.low), limits.high);
    hn::StoreU(hn::Xor(bytes, limits.flip), d8, dst + (i * plan.out_width + j) * plan.channels + first);
  }
#undef FASTORT_EACH
}

// kRows rows of results from `y` on.
template <class D8, int kRows, int kColumns, int kQuads, bool kFlip>
void rows(const Plan& plan, const uint8_t* image, const uint8_t* padding, int64_t y, uint8_t* dst) {
  const Limits<D8> limits(plan);
  const int64_t channels = plan.channels, count = plan.kernel_height + kRows - 1;
  constexpr int64_t kTaps = 4 * kQuads;
  const uint8_t* starts[Pixels<kQuads, true>::kMaxRows];
  Pixels<kQuads, true> inside;
  for (int64_t r = 0; r < count; ++r) {
    const int64_t from = y * plan.stride_y - plan.pad_top + r;
    const bool there = from >= 0 && from < plan.height;
    starts[r] = there ? image + from * plan.width * channels : padding;
    inside.steps[r] = there ? channels : 0;
  }
  const auto at_edge = [&]<int kWide>(int64_t x) HWY_ATTR {
    Pixels<kQuads, false> edge;
    const int64_t x0 = x * plan.stride_x - plan.pad_left;
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t t = 0; t < kTaps; ++t) {
        const bool there = x0 + t >= 0 && x0 + t < plan.width;
        edge.found[r][t] = there ? starts[r] + (x0 + t) * inside.steps[r] : padding;
      }
    }
    for (int64_t b = 0; b < plan.blocks; ++b)
      tile<D8, kRows, kWide, kQuads, kFlip>(plan, limits, b, edge, dst + x * channels);
  };
  int64_t x = 0;
  while (x + kColumns <= plan.out_width) {
    const int64_t x0 = x * plan.stride_x - plan.pad_left, across = kColumns * plan.stride_x;
    if (x0 < 0 || x0 + kTaps > plan.width) {
      at_edge.template operator()<kColumns>(x);
      x += kColumns;
      continue;
    }
    for (int64_t r = 0; r < count; ++r) inside.first[r] = starts[r] + x0 * inside.steps[r];
    for (int64_t left = (plan.width - kTaps - x0) / across; left >= 0 && x + kColumns <= plan.out_width; --left) {
      for (int64_t b = 0; b < plan.blocks; ++b)
        tile<D8, kRows, kColumns, kQuads, kFlip>(plan, limits, b, inside, dst + x * channels);
      for (int64_t r = 0; r < count; ++r) inside.first[r] += across * inside.steps[r];
      x += kColumns;
    }
  }
  for (; x < plan.out_width; ++x) at_edge.template operator()<1>(x);
}

template <class D8, int kColumns, int kQuads, bool kFlip>
void images(const Plan& plan, int64_t begin, int64_t end, const uint8_t* src, const uint8_t* padding, uint8_t* dst) {
  constexpr int kRows = kColumns;  // both where the stride is 1
  const int64_t each = (plan.out_height + kRows - 1) / kRows;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t n = i / each, y = i % each * kRows;
    const uint8_t* const image = src + n * plan.height * plan.width * plan.channels;
    uint8_t* const to = dst + (n * plan.out_height + y) * plan.out_width * plan.channels;
    if (y + kRows <= plan.out_height)
      rows<D8, kRows, kColumns, kQuads, kFlip>(plan, image, padding, y, to);
    else
      rows<D8, 1, kColumns, kQuads, kFlip>(plan, image, padding, y, to);
  }
}

void Run(const Plan& plan, int64_t begin, int64_t end, const std::byte* src, const std::byte* padding, std::byte* dst) {
  const auto chosen = [&]<class D8>(D8) {
    const auto flipped = [&]<int kColumns, int kQuads>() {
      return plan.flip ? images<D8, kColumns, kQuads, true> : images<D8, kColumns, kQuads, false>;
    };
    if (plan.columns == 2)
      return plan.quads == 2 ? flipped.template operator()<2, 2>() : flipped.template operator()<2, 1>();
    return plan.quads == 2 ? flipped.template operator()<1, 2>() : flipped.template operator()<1, 1>();
  };
  const auto run = plan.lanes == 64   ? chosen(hn::CappedTag<uint8_t, 64>())
                   : plan.lanes == 32 ? chosen(hn::CappedTag<uint8_t, 32>())
                                      : chosen(hn::CappedTag<uint8_t, 16>());
  run(plan, begin, end, reinterpret_cast<const uint8_t*>(src), reinterpret_cast<const uint8_t*>(padding),
      reinterpret_cast<uint8_t*>(dst));
}

#else

void Run(const Plan&, int64_t, int64_t, const std::byte*, const std::byte*, std::byte*) {}

#endif

bool Serves() { return has_vnni(); }

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Run);
HWY_EXPORT(Serves);

namespace {

// The channel of a block that a lane of the interleaved sums belongs to: interleaving works within 128 bits.
int64_t channel_of(int64_t sum, int64_t lane) { return lane / 4 * 16 + sum * 4 + lane % 4; }

}  // namespace

DepthwiseQuads::DepthwiseQuads(const ConvShape& shape, bool src_signed, int32_t src_zero,
                               const QuantizedConvWeights& weights, const QuantizedConvOutput& output) {
  constexpr int64_t kLeastLanes = 16, kMostLanes = 64, kMostHeight = 7, kMostWidth = 7;
  const int64_t height = shape.kernel[0], width = shape.kernel[1], taps = height * width;
  if (!HWY_DYNAMIC_DISPATCH(Serves)() || shape.rank != 2 || shape.in_channels < kLeastLanes) return;
  if (height > kMostHeight || width > kMostWidth || shape.dilation[0] != 1 || shape.dilation[1] != 1) return;
  const int64_t columns = shape.stride[0] == 1 && shape.stride[1] == 1 ? 2 : 1, quads = (width + columns - 1 + 3) / 4;
  if (quads == 1 && height != 3) return;
  const auto weight = [&](int64_t c, int64_t tap) {
    const std::byte byte = weights.data[c * taps + tap];
    const int32_t value = weights.is_signed ? static_cast<int8_t>(byte) : static_cast<uint8_t>(byte);
    return value - weights.zeros[static_cast<size_t>(c)];
  };
  for (int64_t c = 0; c < shape.in_channels; ++c) {
    for (int64_t t = 0; t < taps; ++t)
      if (weight(c, t) < -128 || weight(c, t) > 127) return;
    // Scaled sums are converted as they are: they must fit 32 bits.
    const double most = std::abs(static_cast<double>(output.bias[static_cast<size_t>(c)])) +
                        2.0 * 255 * 128 * static_cast<double>(taps);
    if (!(most * std::abs(output.scales[static_cast<size_t>(c)]) < 2e9)) return;
  }

  Plan& p = plan_;
  p.batch = shape.batch, p.channels = shape.in_channels;
  p.height = shape.in[0], p.width = shape.in[1], p.out_height = shape.out[0], p.out_width = shape.out[1];
  p.kernel_height = height, p.stride_y = shape.stride[0], p.stride_x = shape.stride[1];
  p.pad_top = shape.pad_begin[0], p.pad_left = shape.pad_begin[1];
  p.lanes = kMostLanes;
  while (p.lanes > p.channels) p.lanes /= 2;
  p.blocks = (p.channels + p.lanes - 1) / p.lanes;
  p.columns = columns, p.quads = quads;
  p.flip = src_signed;
  // Signed results are made as unsigned ones of 128 more.
  p.zero = static_cast<int16_t>(output.zero + (output.is_signed ? 128 : 0));
  const auto bound = [&](float value) {
    return static_cast<uint8_t>(std::clamp(std::nearbyint(value) + static_cast<float>(p.zero), 0.0f, 255.0f));
  };
  p.low = bound(output.low), p.high = bound(output.high);
  p.flip_result = output.is_signed ? 0x80 : 0;
  p.weights.assign(static_cast<size_t>(p.blocks * height * p.quads * p.columns * kSums * p.lanes), 0);
  p.bias.assign(static_cast<size_t>(p.blocks * p.lanes), 0);
  p.scales.assign(static_cast<size_t>(p.blocks * p.lanes), 0);
  const int32_t zero = src_signed ? src_zero + 128 : src_zero;
  for (int64_t b = 0; b < p.blocks; ++b) {
    const int64_t first = std::min(b * p.lanes, p.channels - p.lanes);
    for (int64_t sum = 0; sum < kSums; ++sum) {
      for (int64_t lane = 0; lane < p.lanes / 4; ++lane) {
        const int64_t c = first + channel_of(sum, lane);
        int32_t total = 0;
        for (int64_t ky = 0; ky < height; ++ky) {
          for (int64_t kx = 0; kx < width; ++kx) {
            const int32_t w = weight(c, ky * width + kx);
            total += w;
            for (int64_t j = 0; j < p.columns; ++j) {
              const int64_t at = kx + j;
              const int64_t vector = (((b * height + ky) * p.quads + at / 4) * p.columns + j) * kSums + sum;
              p.weights[static_cast<size_t>(vector * p.lanes + 4 * lane + at % 4)] = static_cast<int8_t>(w);
            }
          }
        }
        const auto at = static_cast<size_t>(b * p.lanes + sum * p.lanes / 4 + lane);
        p.bias[at] = static_cast<int32_t>(static_cast<uint32_t>(output.bias[static_cast<size_t>(c)]) -
                                          static_cast<uint32_t>(total * zero));
        p.scales[at] = output.scales[static_cast<size_t>(c)];
      }
    }
  }
}

void DepthwiseQuads::run(const std::byte* src, const std::byte* padding, std::byte* dst,
                         const Parallel& parallel) const {
  const Plan& p = plan_;
  const int64_t units = p.batch * ((p.out_height + p.columns - 1) / p.columns);
  const int64_t work = std::max<int64_t>(1, p.columns * p.out_width * p.channels * p.kernel_height * p.quads);
  parallel.range(units, 1 + 100'000 / work, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Run)(plan_, begin, end, src, padding, dst);
  });
}

}  // namespace fastort::kernels
#endif
