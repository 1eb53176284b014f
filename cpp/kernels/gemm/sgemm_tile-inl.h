// Included once for each SIMD target.
#if defined(FASTORT_SGEMM_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_SGEMM_TILE_INL_H
#undef FASTORT_SGEMM_TILE_INL_H
#else
#define FASTORT_SGEMM_TILE_INL_H
#endif

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Tiles of C, and how a matrix is cut into them.
namespace sgemm {

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kVectors = 2;
constexpr int kPanel = kVectors * kLanes;
constexpr int64_t kChunk = 64;
constexpr int64_t kLine = 64;  // of a cache, in bytes
// Two accumulators for each row, and room for the two vectors of B.
constexpr int kRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 12 : 6;

// One tile of C with what it needs; pointers stand at its first row and column.
struct Tile {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  int64_t depth;
  float* c;
  int64_t c_stride;
  int64_t cols;  // at most kPanel
  float alpha;
  bool accumulate;          // C holds the sum over the depths before
  const float* row_factor;  // only for the last depths
  // What is read of B after these tiles: so many lines are brought nearer before each kChunk steps of the depth.
  const char* next;
  int64_t next_lines;
  // The epilogue, only for the last depths.
  bool bounded;
  float lower, upper;
  const ActivationSpec* curve;
  const float* bias;
  const float* row_bias;
  const float* residual;
  int64_t residual_stride;
  bool plain;  // nothing is done to the sums

  void look() {
    plain = alpha == 1 && !accumulate && !row_factor && !bounded && !curve && !bias && !row_bias && !residual;
  }
};

// What an epilogue says of every tile.
inline Tile tile_of(const Epilogue& epilogue, float alpha, int64_t c_stride) {
  const ActivationSpec& activation = epilogue.activation;
  Tile t{};
  t.alpha = alpha;
  t.c_stride = c_stride;
  t.residual_stride = epilogue.residual_stride;
  t.bounded = activation.kind == Activation::Relu || activation.kind == Activation::Clip;
  t.curve = activation.kind == Activation::None || t.bounded ? nullptr : &activation;
  if (t.bounded) {
    const bool clip = activation.kind == Activation::Clip;
    t.lower = clip ? activation.alpha : 0;
    t.upper = clip ? activation.beta : std::numeric_limits<float>::infinity();
  }
  return t;
}

// An activation that is neither none nor bounds.
HWY_NOINLINE inline void apply_curve(const ActivationSpec& curve, float* data, int64_t count) {
  activate_array(D(), curve, data, count);
}

// The rest of an incomplete tile's columns from the sums of a whole tile.
HWY_NOINLINE inline void finish_edge(const Tile& t, const float* sums, int64_t sum_stride, int rows) {
  const D d;
  const V alpha = hn::Set(d, t.alpha), lower = hn::Set(d, t.lower), upper = hn::Set(d, t.upper);
  for (int64_t j = 0; j < t.cols; j += kLanes) {
    const auto count = static_cast<size_t>(std::min<int64_t>(kLanes, t.cols - j));
    const V bias = t.bias ? hn::LoadN(d, t.bias + j, count) : hn::Zero(d);
    for (int i = 0; i < rows; ++i) {
      float* const c = t.c + i * t.c_stride + j;
      V x = hn::Mul(hn::Load(d, sums + i * sum_stride + j), alpha);
      if (t.accumulate) x = hn::Add(x, hn::LoadN(d, c, count));
      if (t.row_factor) x = hn::Mul(x, hn::Set(d, t.row_factor[i]));
      if (t.bias) x = hn::Add(x, bias);
      if (t.row_bias) x = hn::Add(x, hn::Set(d, t.row_bias[i]));
      if (t.residual) x = hn::Add(x, hn::LoadN(d, t.residual + i * t.residual_stride + j, count));
      // With NaN as the second operand the result is NaN on every target.
      if (t.bounded) x = hn::Min(upper, hn::Max(lower, x));
      hn::StoreN(x, d, c, count);
    }
  }
  if (t.curve)
    for (int i = 0; i < rows; ++i) apply_curve(*t.curve, t.c + i * t.c_stride, t.cols);
}

#define FASTORT_FOR_TILE \
  _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) _Pragma("GCC unroll 2") for (int j = 0; j < kN; ++j)

template <int kM, int kN>
HWY_INLINE void finish(const Tile& t, V (&sum)[kM][kN]) {
  const D d;
  // The compiler takes a store of a vector for one into anything, and would read the tile again.
  float* const c = t.c;
  const int64_t c_stride = t.c_stride;
  if (t.plain && t.cols == kN * kLanes) {
    FASTORT_FOR_TILE hn::StoreU(sum[i][j], d, c + i * c_stride + j * kLanes);
    return;
  }
  if (t.cols < kN * kLanes) {
    HWY_ALIGN float sums[kM * kN * kLanes];
    FASTORT_FOR_TILE hn::Store(sum[i][j], d, sums + (i * kN + j) * kLanes);
    return finish_edge(t, sums, kN * kLanes, kM);
  }
  if (t.alpha != 1) {
    const V alpha = hn::Set(d, t.alpha);
    FASTORT_FOR_TILE sum[i][j] = hn::Mul(sum[i][j], alpha);
  }
  if (t.accumulate) FASTORT_FOR_TILE sum[i][j] = hn::Add(sum[i][j], hn::LoadU(d, c + i * c_stride + j * kLanes));
  if (t.row_factor) FASTORT_FOR_TILE sum[i][j] = hn::Mul(sum[i][j], hn::Set(d, t.row_factor[i]));
  if (t.bias) FASTORT_FOR_TILE sum[i][j] = hn::Add(sum[i][j], hn::LoadU(d, t.bias + j * kLanes));
  if (t.row_bias) FASTORT_FOR_TILE sum[i][j] = hn::Add(sum[i][j], hn::Set(d, t.row_bias[i]));
  if (t.residual)
    FASTORT_FOR_TILE sum[i][j] = hn::Add(sum[i][j], hn::LoadU(d, t.residual + i * t.residual_stride + j * kLanes));
  if (t.bounded) {
    // With NaN as the second operand the result is NaN on every target.
    const V lower = hn::Set(d, t.lower), upper = hn::Set(d, t.upper);
    FASTORT_FOR_TILE sum[i][j] = hn::Min(upper, hn::Max(lower, sum[i][j]));
  }
  if (t.curve) {
    HWY_ALIGN float sums[kM * kN * kLanes];
    FASTORT_FOR_TILE hn::Store(sum[i][j], d, sums + (i * kN + j) * kLanes);
    apply_curve(*t.curve, sums, kM * kN * kLanes);
    FASTORT_FOR_TILE sum[i][j] = hn::Load(d, sums + (i * kN + j) * kLanes);
  }
  FASTORT_FOR_TILE hn::StoreU(sum[i][j], d, c + i * c_stride + j * kLanes);
}

// kDeep sums run side by side where the tile alone has too few to hide the latency of a multiply-add.
constexpr int kStep = 4;
template <int kM, int kN>
constexpr int kDeep = kM * kN <= 2   ? 4
                      : kM * kN <= 6 ? 2
                                     : 1;

// A vector of B, read where it lies.
struct PlainRight {
  HWY_INLINE V operator()(const float* b) const { return hn::LoadU(D(), b); }
};

// The sums of a tile. kPacked: the rows of B lie one behind the other. `load` reads a vector of B.
template <int kM, int kN, bool kPacked, class Load = PlainRight>
HWY_INLINE void compute_sums(const Tile& t, V (&result)[kM][kN], const Load& load = {}) {
  const D d;
  constexpr int kU = kDeep<kM, kN>;
  V sum[kU][kM][kN];
#pragma GCC unroll 4
  for (int u = 0; u < kU; ++u) FASTORT_FOR_TILE sum[u][i][j] = hn::Zero(d);
  const float* a = t.a;
  const float* b = t.b;
  const int64_t stride = t.a_stride, b_stride = kPacked ? kPanel : t.b_stride;
  const int64_t depth = t.depth;
  int64_t k = 0;
  if constexpr (kU == 1) {
    // x86 addresses three rows from one pointer.
    constexpr int kGroups = (kM + 2) / 3;
    const float* rows[kGroups];
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) rows[g] = a + 3 * g * stride;
    const char* next = t.next;
    const int64_t chunk = t.next_lines > 0 ? kChunk : depth;
    while (k < depth) {
      if constexpr (kPacked)
        for (int64_t line = 0; line < t.next_lines; ++line, next += kLine) bring_nearer(next);
      const int64_t end = std::min(depth, k + chunk);
#pragma GCC unroll 4
      for (; k < end; ++k) {
        V row[kN];
#pragma GCC unroll 2
        for (int j = 0; j < kN; ++j) row[j] = load(b + j * kLanes);
        FASTORT_FOR_TILE sum[0][i][j] = hn::MulAdd(hn::Set(d, rows[i / 3][i % 3 * stride]), row[j], sum[0][i][j]);
#pragma GCC unroll 4
        for (int g = 0; g < kGroups; ++g) ++rows[g];
        b += b_stride;
      }
    }
  } else {
    for (; k + kStep <= depth; k += kStep) {
#pragma GCC unroll 4
      for (int u = 0; u < kStep; ++u) {
        V row[kN];
#pragma GCC unroll 2
        for (int j = 0; j < kN; ++j) row[j] = load(b + j * kLanes);
        FASTORT_FOR_TILE sum[u % kU][i][j] = hn::MulAdd(hn::Set(d, a[i * stride + u]), row[j], sum[u % kU][i][j]);
        b += b_stride;
      }
      a += kStep;
    }
    for (; k < depth; ++k, ++a, b += b_stride) {
      V row[kN];
#pragma GCC unroll 2
      for (int j = 0; j < kN; ++j) row[j] = load(b + j * kLanes);
      FASTORT_FOR_TILE sum[0][i][j] = hn::MulAdd(hn::Set(d, a[i * stride]), row[j], sum[0][i][j]);
    }
  }
#pragma GCC unroll 4
  for (int u = 1; u < kU; ++u) FASTORT_FOR_TILE sum[0][i][j] = hn::Add(sum[0][i][j], sum[u][i][j]);
  FASTORT_FOR_TILE result[i][j] = sum[0][i][j];
}

// `count` tiles below one another; afterwards `t` stands below them.
template <int kM, int kN, bool kPacked>
HWY_NOINLINE void compute_tiles(Tile& t, int64_t count) {
  for (; count > 0; --count) {
    V sum[kM][kN];
    compute_sums<kM, kN, kPacked>(t, sum);
    finish<kM, kN>(t, sum);
    t.a += kM * t.a_stride;
    t.c += kM * t.c_stride;
    if (t.row_factor) t.row_factor += kM;
    if (t.row_bias) t.row_bias += kM;
    if (t.residual) t.residual += kM * t.residual_stride;
    t.next += (t.depth + kChunk - 1) / kChunk * t.next_lines * kLine;
  }
}

using TilesFn = void (*)(Tile&, int64_t);
template <int kN, bool kPacked, int... kM>
constexpr auto tiles_table(std::integer_sequence<int, kM...>) {
  return std::array<TilesFn, sizeof...(kM)>{compute_tiles<kM + 1, kN, kPacked>...};
}

// Tiles of equal height at the top of `left` rows: as high as possible, but a short rest is shared by two tiles.
struct Run {
  int64_t tiles, rows;
};
HWY_INLINE Run next_run(int64_t left) {
  if (left <= kRows) return {1, left};
  const int64_t rest = left % kRows;
  const int64_t full = left / kRows - (rest > 0 && rest <= kRows / 2 ? 1 : 0);
  if (full > 0) return {full, kRows};
  return {1, (left + 1) / 2};
}

inline int64_t even_step(int64_t total, int64_t limit, int64_t unit) {
  const int64_t parts = std::max<int64_t>(1, (total + limit - 1) / limit);
  return std::max<int64_t>(1, ((total + parts - 1) / parts + unit - 1) / unit * unit);
}

}  // namespace sgemm
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
