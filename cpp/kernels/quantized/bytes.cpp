#include "kernels/quantized/bytes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantized/bytes.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/quantized/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::CappedTag<int32_t, 16>;
using DF = hn::Rebind<float, D32>;
using V32 = hn::Vec<D32>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D32()));
constexpr int64_t kStep = 2 * kLanes;

// Calls body(i) for whole steps of [0, n) and tail(i) for the rest.
template <class Body, class Tail>
HWY_INLINE void in_steps(int64_t n, Body body, Tail tail) {
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) body(i);
  for (; i < n; ++i) tail(i);
}

template <class T>
HWY_INLINE V32 load_less(const T* src, V32 zero) {
  const hn::Rebind<T, D32> d8;
  return hn::Sub(hn::PromoteTo(D32(), hn::LoadU(d8, src)), zero);
}

template <class T>
void binary(const ByteBinary& op, const T* a, bool a_vector, const T* b, bool b_vector, T* dst, int64_t n) {
  const D32 d;
  const DF df;
  const auto a_zero = hn::Set(d, op.a_zero), b_zero = hn::Set(d, op.b_zero);
  const auto a_ratio = hn::Set(df, op.a_ratio), b_ratio = hn::Set(df, op.b_ratio);
  const auto a_one = hn::Set(d, a_vector ? 0 : *a - op.a_zero), b_one = hn::Set(d, b_vector ? 0 : *b - op.b_zero);
  const Requantize<D32> requantize(op.range.low, op.range.high, op.range.zero);
  const auto compute = [&](int64_t i) {
    const auto x = a_vector ? load_less(a + i, a_zero) : a_one;
    const auto y = b_vector ? load_less(b + i, b_zero) : b_one;
    if (op.multiply) return requantize(hn::Mul(x, y), a_ratio);
    const auto sum = hn::Add(hn::Mul(hn::ConvertTo(df, x), a_ratio), hn::Mul(hn::ConvertTo(df, y), b_ratio));
    return requantize(sum);
  };
  in_steps(
      n, [&](int64_t i) { store_bytes(compute(i), compute(i + kLanes), dst + i); },
      [&](int64_t i) {
        const int32_t x = (a_vector ? a[i] : *a) - op.a_zero, y = (b_vector ? b[i] : *b) - op.b_zero;
        const float left = static_cast<float>(x) * op.a_ratio, right = static_cast<float>(y) * op.b_ratio;
        const float value = op.multiply ? static_cast<float>(x * y) * op.a_ratio : left + right;
        dst[i] = static_cast<T>(op.range(value));
      });
}

void Binary(const ByteBinary& op, const std::byte* a, bool a_vector, const std::byte* b, bool b_vector, std::byte* dst,
            int64_t n) {
  const auto run = [&]<class T>(T) {
    binary(op, reinterpret_cast<const T*>(a), a_vector, reinterpret_cast<const T*>(b), b_vector,
           reinterpret_cast<T*>(dst), n);
  };
  op.range.is_signed ? run(int8_t{}) : run(uint8_t{});
}

void Quantize(const float* src, float scale, const ByteRange& range, std::byte* dst, int64_t n) {
  const DF df;
  const auto divisor = hn::Set(df, scale);
  const Requantize<D32> requantize(range.low, range.high, range.zero);
  const auto run = [&]<class T>(T* to) {
    const auto compute = [&](int64_t i) { return requantize(hn::Div(hn::LoadU(df, src + i), divisor)); };
    in_steps(
        n, [&](int64_t i) { store_bytes(compute(i), compute(i + kLanes), to + i); },
        [&](int64_t i) { to[i] = static_cast<T>(range(src[i] / scale)); });
  };
  range.is_signed ? run(reinterpret_cast<int8_t*>(dst)) : run(reinterpret_cast<uint8_t*>(dst));
}

void Dequantize(const std::byte* src, bool is_signed, ByteScale scale, float* dst, int64_t n) {
  const D32 d;
  const DF df;
  const auto zero = hn::Set(d, scale.zero);
  const auto factor = hn::Set(df, scale.scale);
  const auto run = [&]<class T>(const T* from) {
    const auto step = [&](int64_t i) {
      hn::StoreU(hn::Mul(hn::ConvertTo(df, load_less(from + i, zero)), factor), df, dst + i);
    };
    in_steps(
        n,
        [&](int64_t i) {
          step(i);
          step(i + kLanes);
        },
        [&](int64_t i) { dst[i] = static_cast<float>(from[i] - scale.zero) * scale.scale; });
  };
  is_signed ? run(reinterpret_cast<const int8_t*>(src)) : run(reinterpret_cast<const uint8_t*>(src));
}

FloatRange Bounds(const float* src, int64_t n) {
  const DF d;
  auto low0 = hn::Zero(d), low1 = hn::Zero(d), high0 = hn::Zero(d), high1 = hn::Zero(d);
  FloatRange range;
  in_steps(
      n,
      [&](int64_t i) {
        const auto x = hn::LoadU(d, src + i), y = hn::LoadU(d, src + i + kLanes);
        low0 = hn::Min(low0, x), low1 = hn::Min(low1, y);
        high0 = hn::Max(high0, x), high1 = hn::Max(high1, y);
      },
      [&](int64_t i) {
        range.low = std::min(range.low, src[i]);
        range.high = std::max(range.high, src[i]);
      });
  range.low = std::min(range.low, hn::ReduceMin(d, hn::Min(low0, low1)));
  range.high = std::max(range.high, hn::ReduceMax(d, hn::Max(high0, high1)));
  return range;
}

template <class T>
void largest(const T* const* taps, int64_t count, int64_t n, T* dst) {
  const hn::CappedTag<T, 64> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto vector = [&](int64_t i) HWY_ATTR {
    auto most = hn::LoadU(d, taps[0] + i);
    for (int64_t t = 1; t < count; ++t) most = hn::Max(most, hn::LoadU(d, taps[t] + i));
    hn::StoreU(most, d, dst + i);
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) vector(i);
  if (i == n) return;
  if (n >= lanes) return vector(n - lanes);
  for (; i < n; ++i) {
    dst[i] = taps[0][i];
    for (int64_t t = 1; t < count; ++t) dst[i] = std::max(dst[i], taps[t][i]);
  }
}

void LargestSigned(const int8_t* const* taps, int64_t count, int64_t n, int8_t* dst) { largest(taps, count, n, dst); }
void LargestUnsigned(const uint8_t* const* taps, int64_t count, int64_t n, uint8_t* dst) {
  largest(taps, count, n, dst);
}

// The sums of `count` taps, `less` taken off, times `factor`.
template <class T>
void average(const T* const* taps, int64_t count, int64_t n, int32_t less, float factor, const ByteRange& range,
             std::byte* dst) {
  const D32 d;
  const Requantize<D32> requantize(range.low, range.high, range.zero);
  const auto off = hn::Set(d, -less);
  const auto scale = hn::Set(DF(), factor);
  const hn::RebindToUnsigned<D32> du32;
  const hn::Rebind<uint8_t, D32> d8;
  const auto vector = [&](int64_t i) HWY_ATTR {
    const hn::Rebind<T, D32> from;
    auto even = off, odd = hn::Zero(d);
    int64_t t = 0;
    for (; t + 2 <= count; t += 2) {
      even = hn::Add(even, hn::PromoteTo(d, hn::LoadU(from, taps[t] + i)));
      odd = hn::Add(odd, hn::PromoteTo(d, hn::LoadU(from, taps[t + 1] + i)));
    }
    if (t < count) even = hn::Add(even, hn::PromoteTo(d, hn::LoadU(from, taps[t] + i)));
    const auto bytes = hn::TruncateTo(d8, hn::BitCast(du32, requantize(hn::Add(even, odd), scale)));
    hn::StoreU(bytes, d8, reinterpret_cast<uint8_t*>(dst) + i);
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) vector(i);
  if (i == n) return;
  if (n >= kLanes) return vector(n - kLanes);
  for (; i < n; ++i) {
    int32_t sum = -less;
    for (int64_t t = 0; t < count; ++t) sum += taps[t][i];
    dst[i] = range(static_cast<float>(sum) * factor);
  }
}

void AverageSigned(const int8_t* const* taps, int64_t count, int64_t n, int32_t less, float factor,
                   const ByteRange& range, std::byte* dst) {
  average(taps, count, n, less, factor, range, dst);
}
void AverageUnsigned(const uint8_t* const* taps, int64_t count, int64_t n, int32_t less, float factor,
                     const ByteRange& range, std::byte* dst) {
  average(taps, count, n, less, factor, range, dst);
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Binary);
HWY_EXPORT(Quantize);
HWY_EXPORT(Dequantize);
HWY_EXPORT(Bounds);
HWY_EXPORT(LargestSigned);
HWY_EXPORT(LargestUnsigned);
HWY_EXPORT(AverageSigned);
HWY_EXPORT(AverageUnsigned);

std::byte ByteRange::operator()(float value) const {
  const float bounded = value > low ? std::min(value, high) : low;
  return static_cast<std::byte>(static_cast<int32_t>(std::nearbyint(bounded)) + zero);
}

void byte_binary(const ByteBinary& op, const std::byte* a, bool a_vector, const std::byte* b, bool b_vector,
                 std::byte* dst, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Binary)(op, a, a_vector, b, b_vector, dst, n);
}

void byte_lookup(const std::byte* table, const std::byte* src, std::byte* dst, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = table[static_cast<size_t>(src[i])];
}

FloatRange float_range(const float* src, int64_t n, const Parallel& parallel) {
  constexpr int64_t kPart = 16384, kParts = 64;
  const int64_t parts = std::clamp<int64_t>(n / kPart, 1, kParts);
  FloatRange ranges[kParts];
  parallel.chunks(static_cast<int>(parts), [&](int i) {
    const int64_t begin = n * i / parts, end = n * (i + 1) / parts;
    ranges[i] = HWY_DYNAMIC_DISPATCH(Bounds)(src + begin, end - begin);
  });
  for (int64_t i = 1; i < parts; ++i) {
    ranges[0].low = std::min(ranges[0].low, ranges[i].low);
    ranges[0].high = std::max(ranges[0].high, ranges[i].high);
  }
  return ranges[0];
}

ByteScale dynamic_scale(FloatRange range) {
  ByteScale scale{(range.high - range.low) / 255, 0};
  if (scale.scale > 0) scale.zero = static_cast<int32_t>(ByteRange::of(false, 0)(-range.low / scale.scale));
  return scale;
}

void quantize_bytes(const float* src, float scale, const ByteRange& range, std::byte* dst, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Quantize)(src, scale, range, dst, n);
}

void dequantize_bytes(const std::byte* src, bool is_signed, ByteScale scale, float* dst, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Dequantize)(src, is_signed, scale, dst, n);
}

namespace {

// Channels whose windows are taken together.
constexpr int64_t kChannels = 256;

// The largest of `count` taps, at least one, for each of n neighbouring channels.
void largest(const int8_t* const* taps, int64_t count, int64_t n, std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(LargestSigned)(taps, count, n, reinterpret_cast<int8_t*>(dst));
}
void largest(const uint8_t* const* taps, int64_t count, int64_t n, std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(LargestUnsigned)(taps, count, n, reinterpret_cast<uint8_t*>(dst));
}

void average(const int8_t* const* taps, int64_t count, int64_t n, int32_t less, float factor, const ByteRange& range,
             std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(AverageSigned)(taps, count, n, less, factor, range, dst);
}
void average(const uint8_t* const* taps, int64_t count, int64_t n, int32_t less, float factor, const ByteRange& range,
             std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(AverageUnsigned)(taps, count, n, less, factor, range, dst);
}

struct Window {
  PoolShape::Reach z, y, x;
  Window(const PoolShape& s, int64_t pixel)
      : z(s.reach(0, pixel / (s.out[1] * s.out[2]))),
        y(s.reach(1, pixel / s.out[2] % s.out[1])),
        x(s.reach(2, pixel % s.out[2])) {}
};

template <class T>
class Pooling {
 public:
  explicit Pooling(const BytePool& pool) : pool_(pool), s_(pool.shape), max_(s_.kind == PoolKind::Max) {
    channel_ = pool.channels_last ? 1 : s_.in_pixels();
    pixel_ = pool.channels_last ? s_.channels : 1;
  }

  // Channels [c, c + count) of one output pixel.
  void run(const T* image, int64_t out_pixel, int64_t c, int64_t count, std::byte* dst) const {
    const Window w(s_, out_pixel);
    if (channel_ == 1 && s_.taps() <= kTaps) {
      const T* taps[kTaps];
      int64_t inside = 0;
      for_each_tap(w, [&](int64_t pixel) { taps[inside++] = image + pixel * pixel_ + c; });
      if (!max_) return average(taps, inside, count, less(inside), factor(w, inside), pool_.range, dst);
      if (inside > 0) return largest(taps, inside, count, dst);
    }
    int32_t values[kChannels];
    std::fill(values, values + count, max_ ? std::numeric_limits<T>::lowest() : 0);
    int64_t inside = 0;
    for_each_tap(w, [&](int64_t pixel) {
      add(image + pixel * pixel_ + c * channel_, count, values);
      ++inside;
    });
    if (max_) {
      for (int64_t i = 0; i < count; ++i) dst[i] = static_cast<std::byte>(values[i]);
      return;
    }
    const int32_t off = less(inside);
    const float by = factor(w, inside);
    for (int64_t i = 0; i < count; ++i) dst[i] = pool_.range(static_cast<float>(values[i] - off) * by);
  }

 private:
  static constexpr int64_t kTaps = 64;

  // Of an average: what the zero points of the taps sum up to, and what a sum is multiplied by.
  int32_t less(int64_t inside) const { return static_cast<int32_t>(inside * pool_.src_zero); }
  float factor(const Window& w, int64_t inside) const {
    const int64_t divisor = s_.kind == PoolKind::AveragePadded ? w.z.padded * w.y.padded * w.x.padded : inside;
    return divisor > 0 ? pool_.ratio / static_cast<float>(divisor) : 0;
  }

  // Calls f with each pixel of a window that lies inside of the image.
  template <class F>
  void for_each_tap(const Window& w, F f) const {
    for (int64_t kz = w.z.first; kz < w.z.last; ++kz) {
      for (int64_t ky = w.y.first; ky < w.y.last; ++ky) {
        const int64_t line = (w.z.origin + kz * s_.dilation[0]) * s_.in[1] + w.y.origin + ky * s_.dilation[1];
        for (int64_t kx = w.x.first; kx < w.x.last; ++kx) f(line * s_.in[2] + w.x.origin + kx * s_.dilation[2]);
      }
    }
  }

  void add(const T* src, int64_t count, int32_t* values) const {
    if (max_)
      for (int64_t i = 0; i < count; ++i) values[i] = std::max<int32_t>(values[i], src[i * channel_]);
    else if (channel_ == 1)
      for (int64_t i = 0; i < count; ++i) values[i] += src[i];
    else
      for (int64_t i = 0; i < count; ++i) values[i] += src[i * channel_];
  }

  const BytePool& pool_;
  const PoolShape& s_;
  bool max_;
  int64_t channel_, pixel_;
};

template <class T>
void run_pool(const BytePool& pool, const T* src, std::byte* dst, const Parallel& parallel) {
  const PoolShape& s = pool.shape;
  const Pooling<T> pooling(pool);
  const int64_t block = pool.channels_last ? std::min(kChannels, std::max<int64_t>(s.channels, 1)) : 1;
  const int64_t blocks = (s.channels + block - 1) / block, pixels = s.out_pixels();
  const int64_t work = std::max<int64_t>(1, s.taps() * block);
  parallel.range(s.batch * blocks * pixels, 1 + 65536 / work, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      // Neighbouring jobs write neighbouring bytes.
      const int64_t p = pool.channels_last ? i / blocks % pixels : i % pixels;
      const int64_t b = pool.channels_last ? i % blocks : i / pixels % blocks;
      const int64_t n = i / (blocks * pixels), c = b * block;
      std::byte* to = dst + n * s.channels * pixels + (pool.channels_last ? p * s.channels + c : c * pixels + p);
      pooling.run(src + n * s.channels * s.in_pixels(), p, c, std::min(block, s.channels - c), to);
    }
  });
}

}  // namespace

double byte_pool_cost(const BytePool& pool) {
  const PoolShape& s = pool.shape;
  const double results = static_cast<double>(s.batch) * static_cast<double>(s.channels * s.out_pixels());
  const double rate = !pool.channels_last ? 0.7 : s.kind == PoolKind::Max ? 14 : 12;
  return results * static_cast<double>(s.taps()) / rate;
}

void byte_pool(const BytePool& pool, const std::byte* src, std::byte* dst, const Parallel& parallel) {
  if (pool.src_signed)
    run_pool(pool, reinterpret_cast<const int8_t*>(src), dst, parallel);
  else
    run_pool(pool, reinterpret_cast<const uint8_t*>(src), dst, parallel);
}

}  // namespace fastort::kernels
#endif
