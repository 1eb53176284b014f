#include "kernels/quantized/gather.h"

#include <algorithm>
#include <cstring>

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

// Short runs are widened as one vector where that reads no byte behind the source; what it writes behind the run is
// overwritten or slack.
template <class T>
HWY_INLINE void widen_run(const T* src, const T* src_end, int64_t count, int32_t zero, int16_t* dst) {
  const hn::CappedTag<int16_t, 32> d;
  const hn::Rebind<T, decltype(d)> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (count <= 0) return;
  if (count > lanes || src_end - src < lanes) return widen_bytes(src, count, zero, dst);
  const auto less = hn::Set(d, static_cast<int16_t>(zero));
  hn::StoreU(hn::Sub(hn::PromoteTo(d, hn::LoadU(d8, src)), less), d, dst);
}

// One row of taps along x: those inside the source are widened, the others are 0.
template <class T>
HWY_INLINE void gather_line(const Grid& grid, const T* line, const T* src_end, int64_t x0, int64_t channels,
                            int64_t pixel_size, int32_t zero, int16_t* dst) {
  const int64_t width = grid.in[2], taps = grid.kernel[2], step = grid.dilation[2];
  if (step == 1 && channels == pixel_size) {
    const int64_t begin = std::clamp<int64_t>(-x0, 0, taps), end = std::clamp<int64_t>(width - x0, begin, taps);
    if (begin > 0) std::memset(dst, 0, static_cast<size_t>(begin * channels) * sizeof(int16_t));
    widen_run(line + (x0 + begin) * channels, src_end, (end - begin) * channels, zero, dst + begin * channels);
    if (end < taps)
      std::memset(dst + end * channels, 0, static_cast<size_t>((taps - end) * channels) * sizeof(int16_t));
    return;
  }
  for (int64_t t = 0; t < taps; ++t, dst += channels) {
    const int64_t x = x0 + t * step;
    if (x >= 0 && x < width)
      widen_run(line + x * pixel_size, src_end, channels, zero, dst);
    else
      std::memset(dst, 0, static_cast<size_t>(channels) * sizeof(int16_t));
  }
}

template <class T>
void gather(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const T* src, int32_t zero,
            int64_t depth, int16_t* dst) {
  const Grid grid(shape);
  const int64_t channels = shape.in_group(), pixel_size = shape.in_channels;
  const int64_t line_items = grid.kernel[2] * channels, used = shape.taps() * channels;
  const int64_t pixels = shape.out_pixels();
  const T* src_end = src + shape.batch * shape.in_pixels() * pixel_size;
  const bool dense = shape.taps() == 1 && shape.all(shape.stride, 1) && shape.all(shape.pad_begin, 0) &&
                     shape.all(shape.pad_end, 0) && channels == pixel_size && depth == channels;
  if (dense) return widen_bytes(src + first * channels, count * channels, zero, dst);
  for (int64_t p = first; p < first + count; ++p, dst += depth) {
    const int64_t n = p / pixels, x = p % grid.out[2], y = p / grid.out[2] % grid.out[1];
    const int64_t z = p % pixels / (grid.out[1] * grid.out[2]);
    const T* image = src + n * shape.in_pixels() * pixel_size + group * channels;
    int16_t* to = dst;
    for (int64_t kz = 0; kz < grid.kernel[0]; ++kz) {
      const int64_t sz = z * grid.stride[0] + kz * grid.dilation[0] - grid.pad[0];
      for (int64_t ky = 0; ky < grid.kernel[1]; ++ky, to += line_items) {
        const int64_t sy = y * grid.stride[1] + ky * grid.dilation[1] - grid.pad[1];
        if (sz < 0 || sz >= grid.in[0] || sy < 0 || sy >= grid.in[1]) {
          std::memset(to, 0, static_cast<size_t>(line_items) * sizeof(int16_t));
          continue;
        }
        const T* line = image + (sz * grid.in[1] + sy) * grid.in[2] * pixel_size;
        gather_line(grid, line, src_end, x * grid.stride[2] - grid.pad[2], channels, pixel_size, zero, to);
      }
    }
    std::memset(to, 0, static_cast<size_t>(depth - used) * sizeof(int16_t));
  }
}

void GatherRows(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const std::byte* src,
                bool is_signed, int32_t zero, int64_t depth, int16_t* dst) {
  if (is_signed)
    gather(shape, group, first, count, reinterpret_cast<const int8_t*>(src), zero, depth, dst);
  else
    gather(shape, group, first, count, reinterpret_cast<const uint8_t*>(src), zero, depth, dst);
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(GatherRows);

void gather_rows(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const std::byte* src,
                 bool is_signed, int32_t zero, int64_t depth, int16_t* dst) {
  HWY_DYNAMIC_DISPATCH(GatherRows)(shape, group, first, count, src, is_signed, zero, depth, dst);
}

}  // namespace fastort::kernels
#endif
