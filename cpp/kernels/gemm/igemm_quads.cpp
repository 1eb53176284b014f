#include <algorithm>
#include <cstring>

#include "base/cpu_info.h"
#include "kernels/gemm/igemm_forms.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/igemm_quads.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/gemm/amx_tiles-inl.h"
#include "kernels/gemm/igemm-inl.h"
#include "kernels/gemm/vnni-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {

using namespace igemm;
using D8 = hn::Repartition<int8_t, D32>;
using DU8 = hn::Repartition<uint8_t, D32>;

// VNNI adds four products to 32 bits at once, so that pairs have no 16 bits to leave.
[[maybe_unused]] bool has_unit() { return FASTORT_VNNI && cpu_features().avx512_vnni && cpu_features().amx_int8; }

template <bool kVnni>
HWY_INLINE V32 multiply_add(V32 sum, hn::Vec<DU8> a, hn::Vec<D8> b) {
  const D32 d;
#if FASTORT_VNNI
  if constexpr (kVnni) return add_four_products(sum, a, b);
#endif
  const hn::Repartition<int16_t, D32> d16;
  return hn::Add(sum, hn::WidenMulPairwiseAdd(d, hn::SatWidenMulPairwiseAdd(d16, a, b), hn::Set(d16, 1)));
}

// Two accumulators for each row, the two vectors of B, one of A, two products and one of ones. A sum waits for one
// addition only, so that ten of them suffice.
constexpr int kRows = kManyRegisters ? 12 : 5;

struct Tile {
  const uint8_t* a;
  int64_t a_stride;
  const int8_t* b;
  int64_t first, steps;  // of four rows of B each: those in `sums` already, and all
  const int32_t* sums;   // [row][kPanel], or nullptr
  const int8_t* extras;
  const int32_t* places;
  const int32_t* begin;  // of this panel's extra steps
  int32_t start[kPanel];
  bool unit;  // whether the matrix unit serves
  TileOut out;
};

HWY_INLINE hn::Vec<DU8> four_everywhere(const uint8_t* a) {
  int32_t four;
  std::memcpy(&four, a, sizeof(four));
  return hn::BitCast(DU8(), hn::Set(D32(), four));
}

template <int kM, bool kVnni>
HWY_INLINE void compute_tile(const Tile& t) {
  const D32 d;
  const D8 d8;
  constexpr int kStep = 4 * kLanes;  // bytes of a vector of B
  Sums<kM> sum;
  FASTORT_FOR_TILE sum[i][j] = hn::LoadU(d, t.start + j * kLanes);
  if (t.sums) FASTORT_FOR_TILE sum[i][j] = hn::Add(sum[i][j], hn::Load(d, t.sums + i * kPanel + j * kLanes));
  const int64_t stride = t.a_stride;
  const uint8_t* a = t.a + 4 * t.first;
  const int8_t* b = t.b + t.first * kVectors * kStep;
  for (int64_t k = t.first; k < t.steps; ++k, a += 4, b += kVectors * kStep) {
    const auto b0 = hn::LoadU(d8, b), b1 = hn::LoadU(d8, b + kStep);
    _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) {
      const auto four = four_everywhere(a + i * stride);
      sum[i][0] = multiply_add<kVnni>(sum[i][0], four, b0);
      sum[i][1] = multiply_add<kVnni>(sum[i][1], four, b1);
    }
  }
  _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j) {
    for (int32_t e = t.begin[j]; e < t.begin[j + 1]; ++e) {
      const auto more = hn::LoadU(d8, t.extras + int64_t{e} * kStep);
      _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) sum[i][j] =
          multiply_add<kVnni>(sum[i][j], four_everywhere(t.a + t.places[e] + i * stride), more);
    }
  }
  store_tile<kM>(t.out, sum);
}

#if FASTORT_VNNI

// Rows of a tile of the matrix unit, and steps of four rows of B that it multiplies at once.
constexpr int64_t kUnitRows = 16, kUnitSteps = 16;

// sums[row][kPanel] of 16 rows, or of 32, over whole tiles of the depth.
template <bool kTall>
HWY_NOINLINE void multiply_unit(const uint8_t* a, int64_t a_stride, const int8_t* b, int64_t count, int32_t* sums) {
  constexpr int64_t kRow = kPanel * sizeof(int32_t);
  FASTORT_TILE_ZERO(0);
  FASTORT_TILE_ZERO(1);
  FASTORT_TILE_ZERO(2);
  FASTORT_TILE_ZERO(3);
  for (; count > 0; --count, a += 4 * kUnitSteps, b += kUnitSteps * kRow) {
    FASTORT_TILE_LOAD(6, b, kRow);
    FASTORT_TILE_LOAD(4, a, a_stride);
    FASTORT_TILE_MULTIPLY_BYTES(0, 4, 6);
    FASTORT_TILE_LOAD(7, b + 64, kRow);
    FASTORT_TILE_MULTIPLY_BYTES(1, 4, 7);
    if constexpr (kTall) {
      FASTORT_TILE_LOAD(5, a + kUnitRows * a_stride, a_stride);
      FASTORT_TILE_MULTIPLY_BYTES(2, 5, 6);
      FASTORT_TILE_MULTIPLY_BYTES(3, 5, 7);
    }
  }
  std::byte* const to = reinterpret_cast<std::byte*>(sums);
  FASTORT_TILE_STORE(0, to, kRow);
  FASTORT_TILE_STORE(1, to + 64, kRow);
  if constexpr (kTall) {
    FASTORT_TILE_STORE(2, to + kUnitRows * kRow, kRow);
    FASTORT_TILE_STORE(3, to + kUnitRows * kRow + 64, kRow);
  }
}

#endif

template <bool kVnni>
struct Quads {
  using Tile = HWY_NAMESPACE::Tile;
  static constexpr int kRows = HWY_NAMESPACE::kRows;
  template <int kM>
  static HWY_INLINE void compute(const Tile& t) {
    compute_tile<kM, kVnni>(t);
  }
  // Whole tiles of rows by the matrix unit; what is left of the depth and extra steps are added behind.
  static HWY_INLINE int64_t begin(Tile& t, int64_t rows) {
#if FASTORT_VNNI
    const int64_t count = t.steps / kUnitSteps;
    if (!kVnni || !t.unit || count == 0) return 0;
    HWY_ALIGN int32_t sums[2 * kUnitRows * kPanel];
    constexpr int kSome = 8;
    int64_t done = 0;
    t.first = count * kUnitSteps;
    for (int64_t some; done + kUnitRows <= rows; done += some) {
      some = done + 2 * kUnitRows <= rows ? 2 * kUnitRows : kUnitRows;
      (some > kUnitRows ? multiply_unit<true> : multiply_unit<false>)(t.a, t.a_stride, t.b, count, sums);
      for (int64_t i = 0; i < some; i += kSome) {
        t.sums = sums + i * kPanel;
        compute_tiles<Quads, kSome>(t, 1);
      }
    }
    t.first = 0;
    t.sums = nullptr;
    return done;
#else
    (void)t, (void)rows;
    return 0;
#endif
  }
};

void Block(const IgemmBlock& block) {
  const D32 d;
  const QuadsLayout layout(*block.weights);
  const auto* sums = reinterpret_cast<const int32_t*>(block.b);
  const auto* begin = reinterpret_cast<const int32_t*>(block.b + layout.begin);
  const auto* steps = reinterpret_cast<const int8_t*>(block.b + layout.steps);
  Tile t{};
  t.a_stride = block.a_stride;
  t.steps = block.weights->depth() / 4;
  t.extras = reinterpret_cast<const int8_t*>(block.b + layout.extras);
  t.places = reinterpret_cast<const int32_t*>(block.b + layout.places);
  const V32 zero = hn::Set(d, block.a_zero);
  const auto at_panel = [&](Tile& tile, int64_t panel) HWY_ATTR {
    tile.a = reinterpret_cast<const uint8_t*>(block.a);
    tile.b = steps + panel * 4 * kPanel * tile.steps;
    tile.begin = begin + panel * kVectors;
    for (int j = 0; j < kPanel; j += kLanes) {
      const V32 sums_of_zero = hn::Mul(zero, hn::LoadU(d, sums + panel * kPanel + j));
      hn::StoreU(hn::Sub(hn::LoadU(d, tile.start + j), sums_of_zero), d, tile.start + j);
    }
  };
#if FASTORT_VNNI
  if (has_vnni()) {
    t.unit = has_unit() && block.rows >= kUnitRows;
    if (t.unit) configure_tiles();
    compute_block<Quads<true>>(block, t, at_panel);
    if (t.unit) release_tiles();
    return;
  }
#endif
  compute_block<Quads<false>>(block, t, at_panel);
}

// Four rows of a vector's columns.
using Quad = int16_t[4][kLanes];

template <class T>
HWY_INLINE void read_quad(const IgemmSource& source, int64_t k, int64_t n, int64_t row, int64_t col, Quad& quad) {
  const T* b = static_cast<const T*>(source.data) + row * source.row_stride + col * source.col_stride;
  const int64_t rows = std::min<int64_t>(4, k - row), cols = std::clamp<int64_t>(n - col, 0, kLanes);
  std::memset(quad, 0, sizeof(quad));
  for (int64_t i = 0; i < rows; ++i) {
    const T* line = b + i * source.row_stride;
    if (source.col_stride == 1)
      for (int64_t j = 0; j < cols; ++j) quad[i][j] = line[j];
    else
      for (int64_t j = 0; j < cols; ++j) quad[i][j] = line[j * source.col_stride];
    if (source.zeros)
      for (int64_t j = 0; j < cols; ++j) quad[i][j] = static_cast<int16_t>(quad[i][j] - source.zeros[col + j]);
  }
}

// Products of two neighbours with bytes of A, at most 255, stay within 16 bits if those of one sign are no more than
// this.
constexpr int16_t kMostPair = 128;

HWY_INLINE bool fits(int16_t x, int16_t y) {
  const bool bytes = std::min(x, y) >= -128 && std::max(x, y) <= 127;
  if (has_vnni()) return bytes;
  const int above = std::max<int>(x, 0) + std::max<int>(y, 0), below = std::min<int>(x, 0) + std::min<int>(y, 0);
  return bytes & (above <= kMostPair) & (below >= -kMostPair);
}

HWY_INLINE bool fits(const Quad& quad) {
  bool all = true;
  for (int i = 0; i < 4; i += 2)
    for (int j = 0; j < kLanes; ++j) all &= fits(quad[i][j], quad[i + 1][j]);
  return all;
}

// Moves into `step` what of `quad` can be multiplied at once.
HWY_INLINE void take_step(Quad& quad, int8_t* step) {
  const int16_t most = has_vnni() ? 127 : kMostPair / 2;
  for (int i = 0; i < 4; i += 2) {
    for (int j = 0; j < kLanes; ++j) {
      int16_t &x = quad[i][j], &y = quad[i + 1][j];
      const bool whole = fits(x, y);
      step[4 * j + i] = static_cast<int8_t>(whole ? x : std::clamp<int16_t>(x, -most, most));
      step[4 * j + i + 1] = static_cast<int8_t>(whole ? y : std::clamp<int16_t>(y, -most, most));
      x = static_cast<int16_t>(x - step[4 * j + i]);
      y = static_cast<int16_t>(y - step[4 * j + i + 1]);
    }
  }
}

HWY_INLINE bool is_zero(const Quad& quad) {
  int16_t bits = 0;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < kLanes; ++j) bits |= quad[i][j];
  return bits == 0;
}

// Most weights are signed bytes without zero points, of which a quad fits at once.
bool is_plain(const IgemmSource& source, int64_t n) {
  return source.is_signed &&
         (!source.zeros || std::all_of(source.zeros, source.zeros + n, [](int32_t zero) { return zero == 0; }));
}

// Column by column.
HWY_INLINE hn::Vec<D8> load_plain(const IgemmSource& source, int64_t row, int64_t col) {
  const int8_t* b = static_cast<const int8_t*>(source.data) + row * source.row_stride + col * source.col_stride;
  HWY_ALIGN int8_t bytes[4 * kLanes];
  if (source.row_stride == 1) {
    for (int j = 0; j < kLanes; ++j) std::memcpy(bytes + 4 * j, b + j * source.col_stride, 4);
  } else if (source.col_stride == 1) {
    const int8_t *b1 = b + source.row_stride, *b2 = b1 + source.row_stride, *b3 = b2 + source.row_stride;
    for (int j = 0; j < kLanes; ++j) {
      bytes[4 * j] = b[j];
      bytes[4 * j + 1] = b1[j];
      bytes[4 * j + 2] = b2[j];
      bytes[4 * j + 3] = b3[j];
    }
  } else {
    for (int j = 0; j < kLanes; ++j)
      for (int i = 0; i < 4; ++i) bytes[4 * j + i] = b[i * source.row_stride + j * source.col_stride];
  }
  return hn::Load(D8(), bytes);
}

HWY_INLINE hn::Vec<hn::Repartition<int16_t, D32>> pair_sums(hn::Vec<D8> x) {
  const hn::Repartition<int16_t, D32> d16;
  return hn::SatWidenMulPairwiseAdd(d16, hn::Set(DU8(), 1), x);
}

HWY_INLINE bool fits(hn::Vec<D8> x) {
  if (has_vnni()) return true;
  const hn::Repartition<int16_t, D32> d16;
  const auto none = hn::Zero(D8());
  const auto above = pair_sums(hn::Max(x, none)), below = pair_sums(hn::Min(x, none));
  return hn::AllTrue(d16, hn::And(hn::Le(above, hn::Set(d16, kMostPair)), hn::Ge(below, hn::Set(d16, -kMostPair))));
}

template <class T>
int64_t count_extras(const IgemmSource& source, int64_t k, int64_t n, int64_t most) {
  const bool plain = is_plain(source, n);
  int64_t count = 0;
  int8_t step[4 * kLanes];
  Quad quad;
  for (int64_t col = 0; col < n && count <= most; col += kLanes) {
    for (int64_t row = 0; row < k; row += 4) {
      if (plain && row + 4 <= k && col + kLanes <= n) {
        // What is left of a signed byte fits into one step.
        if (!fits(load_plain(source, row, col))) ++count;
        continue;
      }
      read_quad<T>(source, k, n, row, col, quad);
      if (fits(quad)) continue;
      for (take_step(quad, step); !is_zero(quad); take_step(quad, step)) ++count;
    }
  }
  return count;
}

int64_t Extras(const IgemmSource& source, int64_t k, int64_t n, int64_t most) {
  return source.is_signed ? count_extras<int8_t>(source, k, n, most) : count_extras<uint8_t>(source, k, n, most);
}

template <class T>
void pack(const IgemmWeights& weights, const IgemmSource& source, std::byte* dst) {
  const QuadsLayout layout(weights);
  auto* const begin = reinterpret_cast<int32_t*>(dst + layout.begin);
  auto* const places = reinterpret_cast<int32_t*>(dst + layout.places);
  auto* const steps = reinterpret_cast<int8_t*>(dst + layout.steps);
  auto* const more = reinterpret_cast<int8_t*>(dst + layout.extras);
  const int64_t columns = igemm_padded_columns(weights.n), depth = weights.depth();
  const bool plain = is_plain(source, weights.n);
  int32_t extras = 0;
  Quad quad;
  for (int64_t col = 0; col < columns; col += kLanes) {
    int32_t* const sums = reinterpret_cast<int32_t*>(dst) + col;
    std::fill_n(sums, kLanes, 0);
    begin[col / kLanes] = extras;
    int8_t* step = steps + col / kPanel * kPanel * depth + col % kPanel * 4;
    for (int64_t row = 0; row < weights.k; row += 4, step += 4 * kPanel) {
      if (plain && row + 4 <= weights.k && col + kLanes <= weights.n) {
        const auto bytes = load_plain(source, row, col);
        if (fits(bytes)) {
          const D32 d;
          const hn::Repartition<int16_t, D32> d16;
          hn::StoreU(bytes, D8(), step);
          hn::StoreU(hn::Add(hn::LoadU(d, sums), hn::WidenMulPairwiseAdd(d, pair_sums(bytes), hn::Set(d16, 1))), d,
                     sums);
          continue;
        }
      }
      read_quad<T>(source, weights.k, weights.n, row, col, quad);
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < kLanes; ++j) sums[j] += quad[i][j];
      for (take_step(quad, step); !is_zero(quad); ++extras) {
        places[extras] = static_cast<int32_t>(row);
        take_step(quad, more + int64_t{extras} * 4 * kLanes);
      }
    }
  }
  begin[columns / kLanes] = extras;
}

void Pack(const IgemmWeights& weights, const IgemmSource& source, std::byte* dst) {
  if (source.is_signed)
    pack<int8_t>(weights, source, dst);
  else
    pack<uint8_t>(weights, source, dst);
}

void Rows(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, uint8_t* dst) {
  const DU8 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t depth = IgemmWeights{IgemmForm::Quads, k, 0, 0}.depth();
  const uint8_t flip = is_signed ? 0x80 : 0;
  const auto flips = hn::Set(d, flip);
  const auto* src = static_cast<const uint8_t*>(a);
  for (int64_t i = 0; i < rows; ++i, src += stride, dst += depth) {
    int64_t j = 0;
    for (; j + lanes <= k; j += lanes) hn::StoreU(hn::Xor(hn::LoadU(d, src + j), flips), d, dst + j);
    for (; j < k; ++j) dst[j] = src[j] ^ flip;
    for (; j < depth; ++j) dst[j] = 0;
  }
}

int64_t QuadsRows() {
#if FASTORT_VNNI
  // A panel of B stays in the first cache for several tiles.
  if (has_unit()) return 4 * kUnitRows;
#endif
  return kRows;
}
bool Whole() { return has_vnni(); }
int64_t QuadsLanes() { return kLanes; }

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Block);
HWY_EXPORT(Extras);
HWY_EXPORT(Pack);
HWY_EXPORT(Rows);
HWY_EXPORT(QuadsRows);
HWY_EXPORT(Whole);
HWY_EXPORT(QuadsLanes);

int64_t igemm_quads_tile_rows() { return HWY_DYNAMIC_DISPATCH(QuadsRows)(); }

bool igemm_quads_whole() { return HWY_DYNAMIC_DISPATCH(Whole)(); }

QuadsLayout::QuadsLayout(const IgemmWeights& weights) {
  const auto columns = static_cast<size_t>(igemm_padded_columns(weights.n));
  const auto lanes = static_cast<size_t>(HWY_DYNAMIC_DISPATCH(QuadsLanes)());
  const auto count = static_cast<size_t>(weights.extras);
  begin = columns * sizeof(int32_t);
  places = begin + (columns / lanes + 1) * sizeof(int32_t);
  steps = (places + count * sizeof(int32_t) + kAlign - 1) / kAlign * kAlign;
  extras = steps + columns * static_cast<size_t>(weights.depth());
  end = extras + count * 4 * lanes;
}

size_t igemm_quads_bytes(const IgemmWeights& weights) { return QuadsLayout(weights).end; }

int64_t igemm_quads_lanes() { return HWY_DYNAMIC_DISPATCH(QuadsLanes)(); }

int64_t igemm_quads_extras(const IgemmSource& b, int64_t k, int64_t n, int64_t most) {
  return HWY_DYNAMIC_DISPATCH(Extras)(b, k, n, most);
}

void igemm_quads_pack(const IgemmWeights& weights, const IgemmSource& b, std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(Pack)(weights, b, dst);
}

void igemm_quads_rows(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, uint8_t* dst) {
  HWY_DYNAMIC_DISPATCH(Rows)(a, is_signed, stride, rows, k, dst);
}

void igemm_quads_block(const IgemmBlock& block) { HWY_DYNAMIC_DISPATCH(Block)(block); }

}  // namespace fastort::kernels
#endif
