#include "kernels/reorder.h"

#include <hwy/highway.h>

#include <cstring>

#include "kernels/move/interleave.h"

namespace fastort::kernels {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Both block sizes are multiples of it, so every layout is a list of groups of this many channels.
constexpr int64_t kGroup = 8;

struct Wide {
  uint64_t low, high;
};

// Where the elements of one layout lie: offset(n, c, s) = n * image + (c / 8) * group + (c % 8) * channel + s * pixel,
// but for 16-channel blocks, whose groups alternate.
struct Strides {
  int64_t image, channel, pixel;
  Layout layout;
  int64_t channels, pixels;

  Strides(Layout l, int64_t c, int64_t s) : layout(l), channels(c), pixels(s) {
    const int64_t block = channel_block(l);
    image = (c + block - 1) / block * block * s;
    channel = l == Layout::Plain ? s : 1;
    pixel = l == Layout::Plain ? 1 : l == Layout::Nhwc ? c : block;
  }
  int64_t group(int64_t g) const {
    switch (layout) {
      case Layout::Plain:
        return g * kGroup * pixels;
      case Layout::Nhwc:
        return g * kGroup;
      case Layout::C8:
        return g * kGroup * pixels;
      case Layout::C16:
        return g / 2 * 16 * pixels + g % 2 * kGroup;
    }
    return 0;
  }
};

// dst[j * dst_stride + i] = src[i * src_stride + j] for a square of 4.
template <class T>
void transpose4(const T* src, int64_t src_stride, T* dst, int64_t dst_stride) {
  if constexpr (sizeof(T) == 4) {
    const hn::FixedTag<uint32_t, 4> d;
    const hn::Repartition<uint64_t, decltype(d)> d64;
    const auto* s = reinterpret_cast<const uint32_t*>(src);
    auto* o = reinterpret_cast<uint32_t*>(dst);
    const auto r0 = hn::LoadU(d, s), r1 = hn::LoadU(d, s + src_stride);
    const auto r2 = hn::LoadU(d, s + 2 * src_stride), r3 = hn::LoadU(d, s + 3 * src_stride);
    const auto a = hn::BitCast(d64, hn::InterleaveLower(d, r0, r1)),
               b = hn::BitCast(d64, hn::InterleaveLower(d, r2, r3));
    const auto e = hn::BitCast(d64, hn::InterleaveUpper(d, r0, r1)),
               f = hn::BitCast(d64, hn::InterleaveUpper(d, r2, r3));
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, a, b)), d, o);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, a, b)), d, o + dst_stride);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, e, f)), d, o + 2 * dst_stride);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, e, f)), d, o + 3 * dst_stride);
  } else {
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) dst[j * dst_stride + i] = src[i * src_stride + j];
  }
}

// Pixels [begin, end) of one group: `count` channels of it exist, the others are written as zeros where `pad` is set.
template <class T>
void copy_group(const T* src, const Strides& from, T* dst, const Strides& to, int64_t count, bool pad, int64_t begin,
                int64_t end) {
  const bool full = count == kGroup;
  int64_t s = begin;
  if (from.channel == 1 && to.channel == 1) {
    for (; s < end; ++s) {
      T* o = dst + s * to.pixel;
      if (full) {
        std::memcpy(o, src + s * from.pixel, kGroup * sizeof(T));
      } else {
        std::memcpy(o, src + s * from.pixel, static_cast<size_t>(count) * sizeof(T));
        if (pad) std::memset(o + count, 0, static_cast<size_t>(kGroup - count) * sizeof(T));
      }
    }
    return;
  }
  if (full && from.channel != 1 && to.channel == 1) {
    for (; s + 4 <= end; s += 4) {
      transpose4(src + s, from.channel, dst + s * to.pixel, to.pixel);
      transpose4(src + s + 4 * from.channel, from.channel, dst + s * to.pixel + 4, to.pixel);
    }
  } else if (full && from.channel == 1) {
    for (; s + 4 <= end; s += 4) {
      transpose4(src + s * from.pixel, from.pixel, dst + s, to.channel);
      transpose4(src + s * from.pixel + 4, from.pixel, dst + s + 4 * to.channel, to.channel);
    }
  }
  // Pictures.
  if (count == 3 && to.pixel == 3 && from.pixel == 1) {
    if constexpr (sizeof(T) == 1) return interleave_colours(src + s, from.channel, dst + 3 * s, end - s);
    for (; s < end; ++s)
      for (int64_t c = 0; c < 3; ++c) dst[3 * s + c] = src[c * from.channel + s];
    return;
  }
  for (; s < end; ++s) {
    for (int64_t c = 0; c < count; ++c) dst[c * to.channel + s * to.pixel] = src[c * from.channel + s * from.pixel];
    if (pad)
      for (int64_t c = count; c < kGroup; ++c) dst[c * to.channel + s * to.pixel] = T{};
  }
}

template <class T>
void reorder_typed(const T* src, Layout from_layout, T* dst, Layout to_layout, const Shape& shape,
                   const Parallel& parallel) {
  const int64_t images = shape[0], channels = shape[1], pixels = shape.count(2, shape.rank());
  const Strides from(from_layout, channels, pixels), to(to_layout, channels, pixels);
  const bool pad = channel_block(to_layout) > 1;
  const int64_t padded = to.image / std::max<int64_t>(pixels, 1);
  const int64_t groups = ((pad ? padded : channels) + kGroup - 1) / kGroup;
  // 16 KB of pixels a piece.
  const int64_t strip = std::min<int64_t>(std::max<int64_t>(pixels, 1), 512);
  const int64_t strips = (pixels + strip - 1) / strip;
  parallel.range(images * groups * strips, 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % strips * strip, last = std::min(first + strip, pixels);
      const int64_t g = i / strips % groups, n = i / strips / groups;
      const int64_t count = std::clamp<int64_t>(channels - g * kGroup, 0, kGroup);
      // A group of nothing but padding has no source.
      const T* group_src = count > 0 ? src + n * from.image + from.group(g) : src;
      copy_group(group_src, from, dst + n * to.image + to.group(g), to, count, pad, first, last);
    }
  });
}

}  // namespace

void reorder(const std::byte* src, Layout from, std::byte* dst, Layout to, const Shape& shape, size_t element_size,
             const Parallel& parallel) {
  if (from == to) {
    const int64_t bytes = physical_count(shape, from) * static_cast<int64_t>(element_size);
    parallel.range(bytes, 64 << 10, [&](int64_t begin, int64_t end) {
      std::memcpy(dst + begin, src + begin, static_cast<size_t>(end - begin));
    });
    return;
  }
  if (shape.rank() < 3) invalid_argument("a layout other than plain needs rank >= 3, the shape is " + to_string(shape));
  const auto run = [&]<class T>(T) {
    reorder_typed(reinterpret_cast<const T*>(src), from, reinterpret_cast<T*>(dst), to, shape, parallel);
  };
  switch (element_size) {
    case 1:
      return run(uint8_t{});
    case 2:
      return run(uint16_t{});
    case 4:
      return run(uint32_t{});
    case 8:
      return run(uint64_t{});
    case 16:
      return run(Wide{});
    default:
      not_implemented("layout of elements of " + std::to_string(element_size) + " bytes");
  }
}

}  // namespace fastort::kernels
