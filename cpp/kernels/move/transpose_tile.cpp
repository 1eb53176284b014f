#include "kernels/move/strided_copy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/move/transpose_tile.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
constexpr int64_t kBlock = 1;
void transpose_block(const uint32_t* src, int64_t, uint32_t* dst, int64_t) { *dst = *src; }
#elif HWY_MAX_BYTES >= 32 && !HWY_HAVE_SCALABLE
constexpr int64_t kBlock = 8;
#else
constexpr int64_t kBlock = 4;
#endif

#if HWY_TARGET != HWY_SCALAR
// Turns four rows: lane l of each 128-bit block of column c is row l.
template <class D, class V>
HWY_INLINE void turn_rows(D d, V a, V b, V c, V e, V* out) {
  const hn::RepartitionToWide<D> wide;
  const auto ab_low = hn::BitCast(wide, hn::InterleaveLower(d, a, b));
  const auto ab_high = hn::BitCast(wide, hn::InterleaveUpper(d, a, b));
  const auto ce_low = hn::BitCast(wide, hn::InterleaveLower(d, c, e));
  const auto ce_high = hn::BitCast(wide, hn::InterleaveUpper(d, c, e));
  out[0] = hn::BitCast(d, hn::InterleaveLower(wide, ab_low, ce_low));
  out[1] = hn::BitCast(d, hn::InterleaveUpper(wide, ab_low, ce_low));
  out[2] = hn::BitCast(d, hn::InterleaveLower(wide, ab_high, ce_high));
  out[3] = hn::BitCast(d, hn::InterleaveUpper(wide, ab_high, ce_high));
}

HWY_INLINE void transpose_block(const uint32_t* src, int64_t src_stride, uint32_t* dst, int64_t dst_stride) {
  const hn::FixedTag<uint32_t, kBlock> d;
  using V = hn::Vec<decltype(d)>;
  auto row = [&](int64_t r) { return hn::LoadU(d, src + r * src_stride); };
  V top[4];
  turn_rows(d, row(0), row(1), row(2), row(3), top);
  if constexpr (kBlock == 4) {
    for (int c = 0; c < 4; ++c) hn::StoreU(top[c], d, dst + c * dst_stride);
  } else {
    V bottom[4];
    turn_rows(d, row(4), row(5), row(6), row(7), bottom);
    for (int c = 0; c < 4; ++c) {
      hn::StoreU(hn::ConcatLowerLower(d, bottom[c], top[c]), d, dst + c * dst_stride);
      hn::StoreU(hn::ConcatUpperUpper(d, bottom[c], top[c]), d, dst + (c + 4) * dst_stride);
    }
  }
}
#endif

void transpose_blocks(const uint32_t* src, int64_t src_stride, uint32_t* dst, int64_t dst_stride, int64_t rows,
                      int64_t cols) {
  for (int64_t y = 0; y < rows; y += kBlock)
    for (int64_t x = 0; x < cols; x += kBlock)
      transpose_block(src + y * src_stride + x, src_stride, dst + x * dst_stride + y, dst_stride);
}

// Through a buffer, and from there in whole lines: where the stride is a multiple of 4 KB, all lines of dst fall on one
// set of the first-level cache, which would throw them out half written.
constexpr int64_t kSide = 64;
template <bool kPastCaches>
void transpose_square(const uint32_t* src, int64_t src_stride, uint32_t* dst, int64_t dst_stride) {
  const hn::ScalableTag<uint32_t> d;
  constexpr int64_t kLine = 16;
  HWY_ALIGN uint32_t buffer[kSide * kSide];
  transpose_blocks(src, src_stride, buffer, kSide, kSide, kSide);
  for (int64_t c = 0; c < kSide; ++c) {
    // The square below comes next.
    for (int64_t x = 0; x < kSide; x += kLine) hwy::Prefetch(src + (kSide + c) * src_stride + x);
    for (int64_t r = 0; r < kSide; r += static_cast<int64_t>(hn::Lanes(d))) {
      const auto line = hn::Load(d, buffer + c * kSide + r);
      if constexpr (kPastCaches) {
        hn::Stream(line, d, dst + c * dst_stride + r);
      } else {
        hn::StoreU(line, d, dst + c * dst_stride + r);
      }
    }
  }
}

void transpose_tile(const uint32_t* src, int64_t src_stride, uint32_t* dst, int64_t dst_stride, int64_t rows,
                    int64_t cols, bool past_caches) {
  if (rows == kSide && cols == kSide) {
    const bool whole_lines = reinterpret_cast<uintptr_t>(dst) % 64 == 0 && dst_stride % 16 == 0;
    if (past_caches && whole_lines) return transpose_square<true>(src, src_stride, dst, dst_stride);
    if (past_caches || dst_stride % 256 == 0) return transpose_square<false>(src, src_stride, dst, dst_stride);
  }
  const int64_t whole_rows = rows / kBlock * kBlock, whole_cols = cols / kBlock * kBlock;
  // Whole cache lines of both sides at a time.
  constexpr int64_t kLine = 16;
  for (int64_t r = 0; r < whole_rows; r += kLine)
    for (int64_t c = 0; c < whole_cols; c += kLine)
      transpose_blocks(src + r * src_stride + c, src_stride, dst + c * dst_stride + r, dst_stride,
                       HWY_MIN(kLine, whole_rows - r), HWY_MIN(kLine, whole_cols - c));
  for (int64_t c = 0; c < cols; ++c)
    for (int64_t r = c < whole_cols ? whole_rows : 0; r < rows; ++r) dst[c * dst_stride + r] = src[r * src_stride + c];
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {
HWY_EXPORT(transpose_tile);

void transpose_tile_32(const uint32_t* src, int64_t src_stride, uint32_t* dst, int64_t dst_stride, int64_t rows,
                       int64_t cols, bool past_caches) {
  HWY_DYNAMIC_DISPATCH(transpose_tile)(src, src_stride, dst, dst_stride, rows, cols, past_caches);
}
}  // namespace fastort::kernels
#endif
