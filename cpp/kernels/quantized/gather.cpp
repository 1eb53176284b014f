#include "kernels/quantized/gather.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/conv/grid.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantized/gather.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/quantized/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {

// What becomes of neighbouring items. Short runs are taken as one vector where that reads no byte behind the source;
// what it writes behind the run is overwritten or slack.
template <class T>
struct Widen {
  using Item = int16_t;
  int32_t zero;

  HWY_INLINE void run(const T* src, const T* src_end, int64_t count, Item* dst) const {
    const hn::CappedTag<int16_t, 32> d;
    const hn::Rebind<T, decltype(d)> d8;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    if (count <= 0) return;
    if (count > lanes || src_end - src < lanes) return widen_bytes(src, count, zero, dst);
    const auto less = hn::Set(d, static_cast<int16_t>(zero));
    hn::StoreU(hn::Sub(hn::PromoteTo(d, hn::LoadU(d8, src)), less), d, dst);
  }
  HWY_INLINE void pad(int64_t count, Item* dst) const {
    std::memset(dst, 0, static_cast<size_t>(count) * sizeof(Item));
  }
};

// Bytes as unsigned ones.
template <class T>
struct Copy {
  using Item = uint8_t;
  int32_t zero;
  static constexpr uint8_t kFlip = std::is_signed_v<T> ? 0x80 : 0;

  HWY_INLINE void run(const T* src, const T* src_end, int64_t count, Item* dst) const {
    const hn::CappedTag<uint8_t, 64> d;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    const auto flips = hn::Set(d, kFlip);
    const auto* from = reinterpret_cast<const uint8_t*>(src);
    if (count <= 0) return;
    const auto one = [&](int64_t i) HWY_ATTR { hn::StoreU(hn::Xor(hn::LoadU(d, from + i), flips), d, dst + i); };
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) one(i);
    if (i == count) return;
    if (i > 0) return one(count - lanes);
    const hn::CappedTag<uint8_t, 16> d16;
    const auto few = static_cast<int64_t>(hn::Lanes(d16));
    if (count <= few && src_end - src >= few)
      return hn::StoreU(hn::Xor(hn::LoadU(d16, from), hn::Set(d16, kFlip)), d16, dst);
    if (src_end - src >= lanes) return one(0);
    for (; i < count; ++i) dst[i] = from[i] ^ kFlip;
  }
  HWY_INLINE void pad(int64_t count, Item* dst) const {
    std::memset(dst, static_cast<uint8_t>(zero) ^ kFlip, static_cast<size_t>(count));
  }
};

// One row of taps along x: those inside the source, and padding.
template <class T, class Take, class Item = typename Take::Item>
HWY_INLINE void gather_line(const Take& take, const Grid& grid, const T* line, const T* src_end, int64_t x0,
                            int64_t channels, int64_t pixel_size, Item* dst) {
  const int64_t width = grid.in[2], taps = grid.kernel[2], step = grid.dilation[2];
  if (step == 1 && channels == pixel_size) {
    const int64_t begin = std::clamp<int64_t>(-x0, 0, taps), end = std::clamp<int64_t>(width - x0, begin, taps);
    if (begin > 0) take.pad(begin * channels, dst);
    take.run(line + (x0 + begin) * channels, src_end, (end - begin) * channels, dst + begin * channels);
    if (end < taps) take.pad((taps - end) * channels, dst + end * channels);
    return;
  }
  for (int64_t t = 0; t < taps; ++t, dst += channels) {
    const int64_t x = x0 + t * step;
    if (x >= 0 && x < width)
      take.run(line + x * pixel_size, src_end, channels, dst);
    else
      take.pad(channels, dst);
  }
}

template <class T, class Take, class Item = typename Take::Item>
void gather(const Take& take, const ConvShape& shape, int64_t group, int64_t first, int64_t count, const T* src,
            int64_t depth, Item* dst) {
  const Grid grid(shape);
  const int64_t channels = shape.in_group(), pixel_size = shape.in_channels;
  const int64_t line_items = grid.kernel[2] * channels, used = shape.taps() * channels;
  const int64_t pixels = shape.out_pixels();
  const T* src_end = src + shape.batch * shape.in_pixels() * pixel_size;
  const bool dense = shape.pointwise() && channels == pixel_size && depth == channels;
  if (dense) return take.run(src + first * channels, src_end, count * channels, dst);
  std::vector<const T*> lines(static_cast<size_t>(grid.kernel[0] * grid.kernel[1]));  // nullptr: padding
  for (int64_t p = first; p < first + count;) {
    // A row of results, or what is wanted of it.
    const int64_t n = p / pixels, y = p / grid.out[2] % grid.out[1], z = p % pixels / (grid.out[1] * grid.out[2]);
    int64_t x = p % grid.out[2];
    const int64_t end = std::min(grid.out[2], x + first + count - p);
    p += end - x;
    const T* image = src + n * shape.in_pixels() * pixel_size + group * channels;
    const T** line = lines.data();
    for (int64_t kz = 0; kz < grid.kernel[0]; ++kz) {
      const int64_t sz = z * grid.stride[0] + kz * grid.dilation[0] - grid.pad[0];
      for (int64_t ky = 0; ky < grid.kernel[1]; ++ky) {
        const int64_t sy = y * grid.stride[1] + ky * grid.dilation[1] - grid.pad[1];
        const bool there = sz >= 0 && sz < grid.in[0] && sy >= 0 && sy < grid.in[1];
        *line++ = there ? image + (sz * grid.in[1] + sy) * grid.in[2] * pixel_size : nullptr;
      }
    }
    const bool neighbours = grid.dilation[2] == 1 && channels == pixel_size;
    for (; x < end; ++x, dst += depth) {
      const int64_t x0 = x * grid.stride[2] - grid.pad[2];
      const bool inside = neighbours && x0 >= 0 && x0 + grid.kernel[2] <= grid.in[2];
      Item* to = dst;
      for (const T* const from : lines) {
        if (from == nullptr)
          take.pad(line_items, to);
        else if (inside)
          take.run(from + x0 * channels, src_end, line_items, to);
        else
          gather_line(take, grid, from, src_end, x0, channels, pixel_size, to);
        to += line_items;
      }
      for (int64_t i = used; i < depth; ++i) dst[i] = 0;
    }
  }
}

void GatherRows(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const std::byte* src,
                bool is_signed, int32_t zero, const IgemmWeights& weights, std::byte* dst) {
  const int64_t depth = weights.depth();
  const auto all = [&]<class T>(const T* typed) {
    if (weights.form == IgemmForm::Pairs)
      gather(Widen<T>{zero}, shape, group, first, count, typed, depth, reinterpret_cast<int16_t*>(dst));
    else
      gather(Copy<T>{zero}, shape, group, first, count, typed, depth, reinterpret_cast<uint8_t*>(dst));
  };
  if (is_signed)
    all(reinterpret_cast<const int8_t*>(src));
  else
    all(reinterpret_cast<const uint8_t*>(src));
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(GatherRows);

void gather_rows(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const std::byte* src,
                 bool is_signed, int32_t zero, const IgemmWeights& weights, std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(GatherRows)(shape, group, first, count, src, is_signed, zero, weights, dst);
}

}  // namespace fastort::kernels
#endif
