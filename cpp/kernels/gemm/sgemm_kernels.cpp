#include "kernels/gemm/sgemm_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/cpu_info.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/sgemm_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "kernels/gemm/sgemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using namespace sgemm;

HWY_INLINE void fetch_row(const float* row, int64_t count) {
#if defined(__GNUC__)
  for (int64_t i = 0; i < count; i += kLine / 4) __builtin_prefetch(row + i);
#else
  (void)row, (void)count;
#endif
}

// Rows so few that B comes from memory faster than it is used: several panels side by side are as many streams, of
// which the processor fetches more at a time than of one.
constexpr int64_t kStreamRows = 3;
template <int kM>
constexpr int kStreams = kM == 1 ? 4 : 2;
// Depths that are summed up on their own, which loses less than one long sum.
constexpr int64_t kStreamDepth = 256;
// Rows of B that each stream is fetched ahead, 1 KB: the processor does so by itself only up to the end of a page.
constexpr int64_t kAhead = 256 / kPanel;

// kP panels; `t` stands at the first one, behind which `cols` columns are left.
template <int kM, int kP>
HWY_NOINLINE void compute_streams(Tile t, int64_t panel_stride, int64_t cols) {
  const D d;
  V total[kP][kM][kVectors];
#pragma GCC unroll 4
  for (int p = 0; p < kP; ++p)
#pragma GCC unroll 3
    for (int i = 0; i < kM; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) total[p][i][j] = hn::Zero(d);
  const float* a = t.a;
  const float* panels[kP];
#pragma GCC unroll 4
  for (int p = 0; p < kP; ++p) panels[p] = t.b + p * panel_stride;
  const auto* const next = reinterpret_cast<const float*>(t.next);
  for (int64_t k = 0; k < t.depth;) {
    V sum[kP][kM][kVectors];
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p)
#pragma GCC unroll 3
      for (int i = 0; i < kM; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) sum[p][i][j] = hn::Zero(d);
    const int64_t end = std::min(t.depth, k + kStreamDepth);
    for (; k < end; ++k, ++a) {
      if constexpr (kP > 1) {
        const bool inside = k + kAhead < t.depth;
        const float* const from = (inside ? t.b : next) + (k + kAhead - (inside ? 0 : t.depth)) * kPanel;
#pragma GCC unroll 4
        for (int p = 0; p < kP; ++p) fetch_row(from + p * panel_stride, kPanel);
      }
      V factor[kM];
#pragma GCC unroll 3
      for (int i = 0; i < kM; ++i) factor[i] = hn::Set(d, a[i * t.a_stride]);
#pragma GCC unroll 4
      for (int p = 0; p < kP; ++p)
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) {
          const V row = hn::LoadU(d, panels[p] + k * kPanel + j * kLanes);
#pragma GCC unroll 3
          for (int i = 0; i < kM; ++i) sum[p][i][j] = hn::MulAdd(factor[i], row, sum[p][i][j]);
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < kP; ++p)
#pragma GCC unroll 3
      for (int i = 0; i < kM; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) total[p][i][j] = hn::Add(total[p][i][j], sum[p][i][j]);
  }
#pragma GCC unroll 4
  for (int p = 0; p < kP; ++p) {
    t.cols = std::min<int64_t>(kPanel, cols - p * kPanel);
    t.look();
    finish<kM, kVectors>(t, total[p]);
    t.c += kPanel;
    if (t.bias) t.bias += kPanel;
    if (t.residual) t.residual += kPanel;
  }
}

// A block of kM rows, B in panels; `next_b`: what is read behind it, or nullptr.
template <int kM>
void stream_block(Tile& t, int64_t panel_stride, int64_t cols, const float* next_b) {
  constexpr int64_t kWidth = kStreams<kM> * kPanel;
  for (int64_t left = cols; left > 0;) {
    const bool wide = left > kWidth - kPanel;
    const int64_t done = wide ? kWidth : kPanel;
    const float* const behind = t.b + done / kPanel * panel_stride;
    t.next = reinterpret_cast<const char*>(left > done ? behind : next_b ? next_b : t.b);
    if (wide)
      compute_streams<kM, kStreams<kM>>(t, panel_stride, left);
    else
      compute_streams<kM, 1>(t, panel_stride, left);
    left -= done;
    t.b = behind;
    t.c += done;
    if (t.bias) t.bias += done;
    if (t.residual) t.residual += done;
  }
}

// Rows of an incomplete panel of an unpacked B, as the inner loop wants them.
constexpr int64_t kEdgeDepth = 128;
constexpr int64_t kMostDepth = 768;
void copy_edge(const float* b, int64_t stride, int64_t depth, int64_t cols, float* dst) {
  for (int64_t k = 0; k < depth; ++k, b += stride, dst += kPanel) {
    std::memcpy(dst, b, static_cast<size_t>(cols) * sizeof(float));
    std::memset(dst + cols, 0, static_cast<size_t>(kPanel - cols) * sizeof(float));
  }
}

using Heights = std::make_integer_sequence<int, kRows>;
using Table = std::array<TilesFn, kRows>;
constexpr Table kTables[2][kVectors] = {{tiles_table<1, false>(Heights()), tiles_table<2, false>(Heights())},
                                        {tiles_table<1, true>(Heights()), tiles_table<2, true>(Heights())}};
HWY_INLINE const Table& table_of(int64_t cols, int64_t b_stride) {
  return kTables[b_stride == kPanel][cols <= kLanes ? 0 : 1];
}

// What all tiles of a block share.
struct Common {
  Tile tile;
  bool bounded;
  const ActivationSpec* curve;

  explicit Common(const SgemmBlock& block)
      : tile(tile_of(block.epilogue, block.alpha, block.c_stride)), bounded(tile.bounded), curve(tile.curve) {
    tile.a_stride = block.a_stride;
  }
};

// A block of one row of tiles: B is read once, so nothing is gained by cutting its depth.
void block_of_one(const SgemmBlock& block) {
  const Epilogue& e = block.epilogue;
  Common common(block);
  Tile& t = common.tile;
  t.b_stride = block.b_stride;
  t.depth = block.depth;
  t.bounded = common.bounded;
  t.curve = common.curve;
  t.row_factor = block.row_factor;
  const size_t rows = static_cast<size_t>(block.rows - 1);
  const float* panel = block.b;
  if (block.rows <= kStreamRows && block.b_padded) {
    t.a = block.a;
    t.b = panel;
    t.c = block.c;
    t.bias = e.bias_per_row ? nullptr : e.bias;
    t.row_bias = e.bias_per_row ? e.bias : nullptr;
    t.residual = e.residual;
    switch (block.rows) {
      case 1:
        return stream_block<1>(t, block.b_panel_stride, block.cols, block.next_b);
      case 2:
        return stream_block<2>(t, block.b_panel_stride, block.cols, block.next_b);
      default:
        return stream_block<3>(t, block.b_panel_stride, block.cols, block.next_b);
    }
  }
  for (int64_t j = 0; j < block.cols; j += kPanel, panel += block.b_panel_stride) {
    t.cols = std::min<int64_t>(kPanel, block.cols - j);
    t.a = block.a;
    t.b = panel;
    t.next = reinterpret_cast<const char*>(panel);
    t.c = block.c + j;
    t.row_factor = block.row_factor;
    t.bias = e.bias && !e.bias_per_row ? e.bias + j : nullptr;
    t.row_bias = e.bias_per_row ? e.bias : nullptr;
    t.residual = e.residual ? e.residual + j : nullptr;
    t.look();
    table_of(t.cols, t.b_stride)[rows](t, 1);
  }
}

// Into what a block is cut: its rows and its depth.
struct Steps {
  int64_t rows, depth;
};

// A tile's rows of A share the first cache with the lines of B that pass by; all rows of A of one depth step stay in
// the second cache while the panels go by.
Steps steps_of(int64_t rows, int64_t depth) {
  const CacheSizes& cache = cache_sizes();
  Steps steps;
  steps.depth =
      even_step(depth, std::min<int64_t>(kMostDepth, static_cast<int64_t>(cache.l1d) * 5 / 8 / (4 * kRows)), 8);
  const int64_t fitting = static_cast<int64_t>(cache.l2) * 3 / 4 / (4 * steps.depth);
  steps.rows = even_step(rows, std::max<int64_t>(kRows, fitting), kRows);
  return steps;
}

void Block(const SgemmBlock& block) {
  if (block.rows <= 0) return;
  const bool single = block.rows <= kRows;
  if (single && (block.b_padded || block.cols % kLanes == 0)) return block_of_one(block);
  const Epilogue& e = block.epilogue;
  Common common(block);
  Tile& t = common.tile;
  Steps steps = steps_of(block.rows, block.depth);
  if (single) steps.depth = std::max<int64_t>(1, block.depth);
  alignas(64) float edge[kEdgeDepth * kPanel];

  for (int64_t i0 = 0; i0 < block.rows; i0 += steps.rows) {
    const int64_t i1 = std::min(block.rows, i0 + steps.rows);
    for (int64_t k0 = 0; k0 == 0 || k0 < block.depth; k0 += steps.depth) {
      const int64_t k1 = std::min(block.depth, k0 + steps.depth);
      const int64_t chunks = (i1 - i0 + kRows - 1) / kRows * std::max<int64_t>(1, (k1 - k0 + kChunk - 1) / kChunk);
      const int64_t panel_lines = ((k1 - k0) * kPanel * 4 / kLine + chunks - 1) / chunks;
      for (int64_t j = 0; j < block.cols; j += kPanel) {
        t.cols = std::min<int64_t>(kPanel, block.cols - j);
        const bool copied = !block.b_padded && t.cols % kLanes != 0;
        const int64_t step = std::max<int64_t>(1, copied ? std::min(steps.depth, kEdgeDepth) : steps.depth);
        const float* panel = block.b + j / kPanel * block.b_panel_stride;
        for (int64_t k = k0; k == k0 || k < k1; k += step) {
          t.depth = std::min(step, k1 - k);
          t.accumulate = k > 0;
          const bool last = k + t.depth >= block.depth;
          t.bounded = common.bounded && last;
          t.curve = last ? common.curve : nullptr;
          t.b = panel + k * block.b_stride;
          t.b_stride = block.b_stride;
          const float* next = t.b;
          if (block.b_padded && !block.b_near) {
            if (j + kPanel < block.cols)
              next = panel + block.b_panel_stride + k0 * t.b_stride;
            else if (k1 < block.depth)
              next = block.b + k1 * t.b_stride;
            else if (i1 < block.rows)
              next = block.b;
            else if (block.next_b)
              next = block.next_b;
          }
          t.next = reinterpret_cast<const char*>(next);
          t.next_lines = next == t.b ? 0 : panel_lines;
          if (copied) {
            copy_edge(t.b, t.b_stride, t.depth, t.cols, edge);
            t.b = edge;
            t.b_stride = kPanel;
          }
          const Table& table = table_of(t.cols, t.b_stride);
          t.bias = last && e.bias && !e.bias_per_row ? e.bias + j : nullptr;
          for (int64_t i = i0; i < i1;) {
            const Run run = next_run(i1 - i);
            t.a = block.a + i * block.a_stride + k;
            t.c = block.c + i * block.c_stride + j;
            t.row_factor = last && block.row_factor ? block.row_factor + i : nullptr;
            t.row_bias = last && e.bias && e.bias_per_row ? e.bias + i : nullptr;
            t.residual = last && e.residual ? e.residual + i * e.residual_stride + j : nullptr;
            t.look();
            table[static_cast<size_t>(run.rows - 1)](t, run.tiles);
            i += run.tiles * run.rows;
          }
        }
      }
    }
  }
}

int64_t RowStep(int64_t rows, int64_t depth) { return steps_of(rows, depth).rows; }

// Four columns, of as many rows as a vector has blocks of four lanes, written as rows of `dst`. `rows(i)` loads the
// columns of rows i, i + 4, …
template <class D, class Rows>
HWY_INLINE void transpose_columns(D d, const Rows& rows, float factor, float* dst, int64_t dst_stride) {
  const auto f = hn::Set(d, factor);
  const auto r0 = rows(0), r1 = rows(1), r2 = rows(2), r3 = rows(3);
  const auto t0 = hn::InterleaveLower(d, r0, r2), t1 = hn::InterleaveLower(d, r1, r3);
  const auto t2 = hn::InterleaveUpper(d, r0, r2), t3 = hn::InterleaveUpper(d, r1, r3);
  hn::StoreU(hn::Mul(f, hn::InterleaveLower(d, t0, t1)), d, dst);
  hn::StoreU(hn::Mul(f, hn::InterleaveUpper(d, t0, t1)), d, dst + dst_stride);
  hn::StoreU(hn::Mul(f, hn::InterleaveLower(d, t2, t3)), d, dst + 2 * dst_stride);
  hn::StoreU(hn::Mul(f, hn::InterleaveUpper(d, t2, t3)), d, dst + 3 * dst_stride);
}

HWY_INLINE void transpose_4x4(const float* src, int64_t src_stride, float factor, float* dst, int64_t dst_stride) {
  const hn::FixedTag<float, 4> d;
  const auto rows = [&](int64_t i) HWY_ATTR { return hn::LoadU(d, src + i * src_stride); };
  transpose_columns(d, rows, factor, dst, dst_stride);
}

#if HWY_MAX_BYTES >= 32
HWY_INLINE void transpose_8x4(const float* src, int64_t src_stride, float factor, float* dst, int64_t dst_stride) {
  const hn::FixedTag<float, 8> d;
  const hn::Half<decltype(d)> half;
  const auto rows = [&](int64_t i) HWY_ATTR {
    return hn::Combine(d, hn::LoadU(half, src + (i + 4) * src_stride), hn::LoadU(half, src + i * src_stride));
  };
  transpose_columns(d, rows, factor, dst, dst_stride);
}
#endif

void scaled_transpose(const float* src, int64_t src_stride, int64_t rows, int64_t cols, float factor, float* dst,
                      int64_t dst_stride) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
#if HWY_MAX_BYTES >= 32
    for (; j + 8 <= cols; j += 8)
      transpose_8x4(src + j * src_stride + i, src_stride, factor, dst + i * dst_stride + j, dst_stride);
#endif
    for (; j + 4 <= cols; j += 4)
      transpose_4x4(src + j * src_stride + i, src_stride, factor, dst + i * dst_stride + j, dst_stride);
    for (; j < cols; ++j)
      for (int64_t r = i; r < i + 4; ++r) dst[r * dst_stride + j] = src[j * src_stride + r] * factor;
  }
  for (; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) dst[i * dst_stride + j] = src[j * src_stride + i] * factor;
}

void Transpose(const float* src, int64_t src_stride, int64_t rows, int64_t cols, float* dst, int64_t dst_stride) {
  scaled_transpose(src, src_stride, rows, cols, 1, dst, dst_stride);
}

// Rows far apart are nothing that the processor fetches ahead by itself.
constexpr int64_t kRowsAhead = 8;

// kP whole panels side by side, whose rows lie in as many adjacent lines.
template <int kP>
HWY_INLINE void pack_rows(const float* src, int64_t stride, int64_t depth, float factor, float* dst) {
  const D d;
  const V f = hn::Set(d, factor);
  for (int64_t k = 0; k < depth; ++k, src += stride, dst += kPanel) {
    if (k + kRowsAhead < depth) fetch_row(src + kRowsAhead * stride, kP * kPanel);
#pragma GCC unroll 8
    for (int j = 0; j < kP * kVectors; ++j)
      hn::StoreU(hn::Mul(f, hn::LoadU(d, src + j * kLanes)), d,
                 dst + j / kVectors * kPanel * depth + j % kVectors * kLanes);
  }
}

void PackPanels(const float* b, int64_t row_stride, int64_t col_stride, int64_t depth, int64_t cols, int64_t first,
                int64_t last, float* dst, float factor) {
  constexpr int kWide = 4;
  if (depth == 0) return;
  for (int64_t p = first; p < last;) {
    const int64_t width = std::min<int64_t>(kPanel, cols - p * kPanel);
    const float* src = b + p * kPanel * col_stride;
    float* panel = dst + p * kPanel * depth;
    if (col_stride == 1 && p + kWide <= last && cols >= (p + kWide) * kPanel) {
      pack_rows<kWide>(src, row_stride, depth, factor, panel);
      p += kWide;
      continue;
    }
    ++p;
    if (col_stride != 1) {
      if (width < kPanel) std::memset(panel, 0, static_cast<size_t>(depth * kPanel) * sizeof(float));
      for (int64_t k = 0; k < depth; k += kChunk) {
        const bool last = k + kChunk >= depth;
        const float* const next = last ? src + kPanel * col_stride : src + k + kChunk;
        const int64_t rows = last ? std::min<int64_t>(kPanel, cols - p * kPanel) : width;
        for (int64_t j = 0; j < rows; ++j)
          fetch_row(next + j * col_stride, last ? std::min(kChunk, depth) : std::min(kChunk, depth - k - kChunk));
        scaled_transpose(src + k, col_stride, std::min(kChunk, depth - k), width, factor, panel + k * kPanel, kPanel);
      }
    } else if (width < kPanel) {
      copy_edge(src, row_stride, depth, width, panel);
      if (factor != 1)
        for (int64_t i = 0; i < depth * kPanel; ++i) panel[i] *= factor;
    } else {
      pack_rows<1>(src, row_stride, depth, factor, panel);
    }
  }
}

int64_t PanelGroup(int64_t rows) { return rows > kStreamRows ? 1 : rows == 1 ? kStreams<1> : kStreams<2>; }
int64_t PanelWidth() { return kPanel; }
int64_t TileRows() { return kRows; }

void Activate(const ActivationSpec& activation, float* data, int64_t count) {
  activate_array(D(), activation, data, count);
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Block);
HWY_EXPORT(RowStep);
HWY_EXPORT(Transpose);
HWY_EXPORT(PackPanels);
HWY_EXPORT(PanelGroup);
HWY_EXPORT(PanelWidth);
HWY_EXPORT(TileRows);
HWY_EXPORT(Activate);

void sgemm_block(const SgemmBlock& block) { HWY_DYNAMIC_DISPATCH(Block)(block); }

void transpose_floats(const float* src, int64_t src_stride, int64_t rows, int64_t cols, float* dst,
                      int64_t dst_stride) {
  HWY_DYNAMIC_DISPATCH(Transpose)(src, src_stride, rows, cols, dst, dst_stride);
}

void sgemm_pack_panels(const float* b, int64_t row_stride, int64_t col_stride, int64_t depth, int64_t cols,
                       int64_t first, int64_t last, float* dst, float factor) {
  HWY_DYNAMIC_DISPATCH(PackPanels)(b, row_stride, col_stride, depth, cols, first, last, dst, factor);
}

int64_t sgemm_row_step(int64_t rows, int64_t depth) { return HWY_DYNAMIC_DISPATCH(RowStep)(rows, depth); }

int64_t sgemm_panel_group(int64_t rows) { return HWY_DYNAMIC_DISPATCH(PanelGroup)(rows); }
int64_t sgemm_panel_width() { return HWY_DYNAMIC_DISPATCH(PanelWidth)(); }
int64_t sgemm_tile_rows() { return HWY_DYNAMIC_DISPATCH(TileRows)(); }

void activate_floats(const ActivationSpec& activation, float* data, int64_t count) {
  HWY_DYNAMIC_DISPATCH(Activate)(activation, data, count);
}

}  // namespace fastort::kernels
#endif
