#include "kernels/gemm/strassen_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/strassen_kernels.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
//
#include "kernels/gemm/sgemm_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using namespace sgemm;

// Half a depth that is summed up at a time.
constexpr int64_t kMostHalfDepth = 768;
// Lines between the quarters of C's sums, which would else lie in the same lines of the first cache.
constexpr int64_t kApart = 3;

int64_t depth_step(int64_t half_depth) { return even_step(half_depth, kMostHalfDepth, 8); }

enum Quarter : int { kUpperLeft, kUpperRight, kLowerLeft, kLowerRight };
// What is multiplied of A: sums that add_left makes, or a quarter as it is.
enum Left : int { kDiagonal, kLower, kUpper, kLeftColumn, kRightColumn, kUpperLeftItself, kLowerRightItself };

// What a product does to a quarter of C.
enum class Into : uint8_t { None, Begin, Add, Subtract };

// A product left * (b + b_sign * b_other), and the quarters of C that it goes into.
struct Product {
  Left left;
  Quarter b, b_other;
  int b_sign;  // 0: b alone
  Quarter c;
  Into into;
  Quarter c_other;
  Into into_other;
};
constexpr std::array<Product, 7> kProducts = {{
    {kDiagonal, kUpperLeft, kLowerRight, 1, kUpperLeft, Into::Begin, kLowerRight, Into::Begin},
    {kLower, kUpperLeft, kUpperLeft, 0, kLowerLeft, Into::Begin, kLowerRight, Into::Subtract},
    {kLeftColumn, kUpperLeft, kUpperRight, 1, kLowerRight, Into::Add, kLowerRight, Into::None},
    {kUpperLeftItself, kUpperRight, kLowerRight, -1, kUpperRight, Into::Begin, kLowerRight, Into::Add},
    {kRightColumn, kLowerLeft, kLowerRight, 1, kUpperLeft, Into::Add, kUpperLeft, Into::None},
    {kLowerRightItself, kLowerLeft, kUpperLeft, -1, kUpperLeft, Into::Add, kLowerLeft, Into::Add},
    {kUpper, kLowerRight, kLowerRight, 0, kUpperRight, Into::Add, kUpperLeft, Into::Subtract},
}};

bool AddLeft(const StrassenLeft& left, int64_t begin, int64_t end) {
  const D d;
  bool comparable = true;
  const int64_t h = left.half_depth, matrix = left.upper * h;
  for (int64_t i = begin; i < end; ++i) {
    const float* const upper = left.a + i * left.a_stride;
    const float* const lower = upper + left.upper * left.a_stride;
    float* const to = left.sums + i * h;
    const bool both = i < left.lower;
    V upper_squares = hn::Zero(d), lower_squares = hn::Zero(d);
    for (int64_t k = 0; k < h; k += kLanes) {
      const auto count = static_cast<size_t>(std::min<int64_t>(kLanes, h - k));
      const auto load = [&](const float* from) HWY_ATTR {
        return count == kLanes ? hn::LoadU(d, from + k) : hn::LoadN(d, from + k, count);
      };
      const auto store = [&](V x, Left sum) HWY_ATTR {
        float* const at = to + sum * matrix + k;
        if (count == kLanes)
          hn::StoreU(x, d, at);
        else
          hn::StoreN(x, d, at, count);
      };
      const V a11 = load(upper), a12 = load(upper + h);
      const V a21 = both ? load(lower) : hn::Zero(d), a22 = both ? load(lower + h) : hn::Zero(d);
      store(hn::Add(a11, a22), kDiagonal);
      store(hn::Add(a21, a22), kLower);
      store(hn::Add(a11, a12), kUpper);
      store(hn::Sub(a21, a11), kLeftColumn);
      store(hn::Sub(a12, a22), kRightColumn);
      upper_squares = hn::MulAdd(a11, a11, hn::MulAdd(a12, a12, upper_squares));
      lower_squares = hn::MulAdd(a21, a21, hn::MulAdd(a22, a22, lower_squares));
    }
    const float squares = hn::ReduceSum(d, upper_squares);
    comparable &= strassen_comparable(squares, both ? hn::ReduceSum(d, lower_squares) : squares);
  }
  return comparable;
}

using D4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<D4>;

// Four numbers with the sum of a vector.
template <class From>
HWY_INLINE V4 fold(From from, hn::Vec<From> x) {
  if constexpr (hn::MaxLanes(from) > 4) {
    const hn::Half<From> half;
    return fold(half, hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)));
  } else {
    return x;
  }
}

// The squares of four rows of a panel: each sum for itself.
HWY_INLINE V4 row_squares(const float* rows) {
  const D d;
  const D4 d4;
  const auto row = [&](int r) HWY_ATTR {
    const V x = hn::LoadU(d, rows + r * kPanel), y = hn::LoadU(d, rows + r * kPanel + kLanes);
    return fold(d, hn::MulAdd(x, x, hn::Mul(y, y)));
  };
  const V4 r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
  const V4 even = hn::Add(hn::InterleaveLower(d4, r0, r2), hn::InterleaveUpper(d4, r0, r2));
  const V4 odd = hn::Add(hn::InterleaveLower(d4, r1, r3), hn::InterleaveUpper(d4, r1, r3));
  return hn::Add(hn::InterleaveLower(d4, even, odd), hn::InterleaveUpper(d4, even, odd));
}

float Dot(const float* x, const float* y, int64_t count) {
  const D d;
  V sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u)
      sum[u] = hn::MulAdd(hn::LoadU(d, x + i + u * kLanes), hn::LoadU(d, y + i + u * kLanes), sum[u]);
  }
  for (; i < count; i += kLanes) {
    const auto left = static_cast<size_t>(std::min<int64_t>(kLanes, count - i));
    sum[0] = hn::MulAdd(hn::LoadN(d, x + i, left), hn::LoadN(d, y + i, left), sum[0]);
  }
  return hn::ReduceSum(d, hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])));
}

void AddRowProfile(const float* row, int64_t depth, float* profile) {
  const float squares = Dot(row, row, depth);
  if (!(squares > 0)) return;
  const D d;
  const V share = hn::Set(d, 1 / squares);
  for (int64_t k = 0; k < depth; k += kLanes) {
    const auto count = static_cast<size_t>(std::min<int64_t>(kLanes, depth - k));
    const V x = hn::LoadN(d, row + k, count);
    hn::StoreN(hn::MulAdd(share, hn::Mul(x, x), hn::LoadN(d, profile + k, count)), d, profile + k, count);
  }
}

float AddPanelProfile(const float* panel, int64_t depth, float* profile) {
  const float squares = Dot(panel, panel, depth * kPanel);
  if (!(squares > 0)) return squares;
  const D4 d;
  const V4 share = hn::Set(d, 1 / squares);
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4)
    hn::StoreU(hn::MulAdd(share, row_squares(panel + k * kPanel), hn::LoadU(d, profile + k)), d, profile + k);
  for (; k < depth; ++k) profile[k] += Dot(panel + k * kPanel, panel + k * kPanel, kPanel) / squares;
  return squares;
}

template <int kM>
HWY_INLINE void put(Into into, const V (&sum)[kM][kVectors], float* c) {
  constexpr int kN = kVectors;
  const D d;
  const auto at = [&](int i, int j) { return c + (i * kN + j) * kLanes; };
  switch (into) {
    case Into::None:
      break;
    case Into::Begin:
      FASTORT_FOR_TILE hn::Store(sum[i][j], d, at(i, j));
      break;
    case Into::Add:
      FASTORT_FOR_TILE hn::Store(hn::Add(hn::Load(d, at(i, j)), sum[i][j]), d, at(i, j));
      break;
    case Into::Subtract:
      FASTORT_FOR_TILE hn::Store(hn::Sub(hn::Load(d, at(i, j)), sum[i][j]), d, at(i, j));
      break;
  }
}

// The sum or difference of two quarters of B, which is written down as it is read.
struct SumOfRights {
  V sign;
  int64_t other, sum;  // distances, in bytes

  HWY_INLINE V operator()(const float* b) const {
    const D d;
    const auto at = [&](int64_t distance) HWY_ATTR {
      return reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(b) + static_cast<uintptr_t>(distance));
    };
    const V v = hn::Add(hn::LoadU(d, b), hn::Xor(sign, hn::LoadU(d, at(other))));
    hn::Store(v, d, at(sum));
    return v;
  }
};

// What the tiles of one product share.
struct Sums {
  float* c;
  float* c_other;
  Into into, into_other;
  // The other quarter of B where it is a sum, and where that goes.
  const float* b_other;
  float* b_sum;
  float sign;
};

template <int kM>
HWY_NOINLINE void add_tiles(Tile& t, int64_t count, Sums& s) {
  const D d;
  for (; count > 0; --count) {
    V sum[kM][kVectors];
    if (s.b_other) {
      const auto distance = [&](const float* to) {
        return static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(t.b));
      };
      const SumOfRights load{hn::Set(d, s.sign), distance(s.b_other), distance(s.b_sum)};
      compute_sums<kM, kVectors, true>(t, sum, load);
      t.b = s.b_sum;
      s.b_other = nullptr;
    } else {
      compute_sums<kM, kVectors, true>(t, sum);
    }
    put<kM>(s.into, sum, s.c);
    put<kM>(s.into_other, sum, s.c_other);
    s.c += kM * kPanel;
    s.c_other += kM * kPanel;
    t.a += kM * t.a_stride;
    t.next += (t.depth + kChunk - 1) / kChunk * t.next_lines * kLine;
  }
}

using AddTilesFn = void (*)(Tile&, int64_t, Sums&);
template <int... kM>
constexpr auto add_tiles_table(std::integer_sequence<int, kM...>) {
  return std::array<AddTilesFn, sizeof...(kM)>{add_tiles<kM + 1>...};
}
constexpr auto kAddTiles = add_tiles_table(std::make_integer_sequence<int, kRows>());

// Writes rows of C from their sums.
template <int kM>
HWY_INLINE void finish_rows(Tile& t, const float*& sums) {
  constexpr int kN = kVectors;
  const D d;
  V sum[kM][kN];
  FASTORT_FOR_TILE sum[i][j] = hn::Load(d, sums + (i * kN + j) * kLanes);
  finish<kM, kN>(t, sum);
  sums += kM * kPanel;
  t.c += kM * t.c_stride;
  if (t.row_bias) t.row_bias += kM;
  if (t.residual) t.residual += kM * t.residual_stride;
}

// A block's work, step by step of its depth.
class Halves {
 public:
  explicit Halves(const StrassenBlock& block)
      : block_(block),
        left_(*block.left),
        rows_(block.row_end - block.row_begin),
        lower_(std::clamp<int64_t>(left_.lower - block.row_begin, 0, rows_)),
        step_(depth_step(left_.half_depth)),
        right_(block.scratch),
        sums_(right_ + step_ * kPanel) {
    tile_.b_stride = kPanel;
  }

  void run() {
    for (int64_t k = 0; k < left_.half_depth; k += step_)
      for (int p = 0; p < static_cast<int>(kProducts.size()); ++p) multiply(p, k);
    finish_all();
  }

 private:
  const float* right(const float* const* panels, Quarter quarter) const {
    return panels[quarter % 2] + quarter / 2 * left_.half_depth * kPanel;
  }
  float* sums(Quarter quarter) const { return sums_ + quarter * (rows_ + kApart) * kPanel; }

  void multiply(int p, int64_t k) {
    const Product& product = kProducts[static_cast<size_t>(p)];
    Tile& t = tile_;
    const int64_t h = left_.half_depth;
    t.depth = std::min(step_, h - k);
    Sums to{};
    t.b = right(block_.b, product.b) + k * kPanel;
    if (product.b_sign != 0) {
      to.b_other = right(block_.b, product.b_other) + k * kPanel;
      to.b_sum = right_;
      to.sign = product.b_sign > 0 ? 0.0f : -0.0f;
    }
    int64_t rows = rows_;
    if (product.left == kUpperLeftItself) {
      t.a = left_.a + block_.row_begin * left_.a_stride + k;
      t.a_stride = left_.a_stride;
    } else if (product.left == kLowerRightItself) {
      t.a = left_.a + (left_.upper + block_.row_begin) * left_.a_stride + h + k;
      t.a_stride = left_.a_stride;
      rows = lower_;
    } else {
      t.a = left_.sums + (product.left * left_.upper + block_.row_begin) * h + k;
      t.a_stride = h;
    }
    fetch_ahead(p, k);
    const auto later = [&](Into into) { return into == Into::Begin && k > 0 ? Into::Add : into; };
    to.c = sums(product.c);
    to.c_other = sums(product.c_other);
    to.into = later(product.into);
    to.into_other = later(product.into_other);
    for (int64_t i = 0; i < rows;) {
      const Run run = next_run(rows - i);
      kAddTiles[static_cast<size_t>(run.rows - 1)](t, run.tiles, to);
      i += run.tiles * run.rows;
    }
  }

  // The first four products fetch a quarter each of what is read of B afterwards.
  void fetch_ahead(int p, int64_t k) {
    Tile& t = tile_;
    const bool last = k + step_ >= left_.half_depth;
    const float* const* const next = last ? block_.next_b : block_.b;
    t.next = reinterpret_cast<const char*>(t.b);
    t.next_lines = 0;
    if (p >= 4 || !next[0]) return;
    const int64_t chunks = (rows_ + kRows - 1) / kRows * ((t.depth + kChunk - 1) / kChunk);
    t.next = reinterpret_cast<const char*>(right(next, static_cast<Quarter>(p)) + (last ? 0 : k + step_) * kPanel);
    t.next_lines = (t.depth * kPanel * 4 / kLine + chunks - 1) / chunks;
  }

  void finish_all() {
    const Epilogue& e = block_.epilogue;
    Tile t = tile_of(e, block_.alpha, block_.c_stride);
    t.cols = kPanel;
    for (const Quarter quarter : {kUpperLeft, kUpperRight, kLowerLeft, kLowerRight}) {
      const bool upper = quarter < kLowerLeft;
      const int64_t rows = upper ? rows_ : lower_, row = block_.row_begin + (upper ? 0 : left_.upper);
      const int64_t column = quarter % 2 * block_.c_right;
      const float* from = sums(quarter);
      t.c = block_.c + row * block_.c_stride + column;
      t.bias = e.bias && !e.bias_per_row ? e.bias + column : nullptr;
      t.row_bias = e.bias && e.bias_per_row ? e.bias + row : nullptr;
      t.residual = e.residual ? e.residual + row * e.residual_stride + column : nullptr;
      t.look();
      int64_t i = 0;
      for (; i + kRows <= rows; i += kRows) finish_rows<kRows>(t, from);
      for (; i < rows; ++i) finish_rows<1>(t, from);
    }
  }

  const StrassenBlock& block_;
  const StrassenLeft& left_;
  int64_t rows_, lower_, step_;
  float* right_;
  float* sums_;
  Tile tile_{};
};

void BlockOfHalves(const StrassenBlock& block) { Halves(block).run(); }

int64_t ScratchFloats(int64_t rows, int64_t half_depth) {
  return (depth_step(half_depth) + 4 * (rows + kApart)) * kPanel;
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(AddLeft);
HWY_EXPORT(BlockOfHalves);
HWY_EXPORT(ScratchFloats);
HWY_EXPORT(AddRowProfile);
HWY_EXPORT(AddPanelProfile);
HWY_EXPORT(Dot);

bool strassen_add_left(const StrassenLeft& left, int64_t begin, int64_t end) {
  return HWY_DYNAMIC_DISPATCH(AddLeft)(left, begin, end);
}

void strassen_block(const StrassenBlock& block) { HWY_DYNAMIC_DISPATCH(BlockOfHalves)(block); }

int64_t strassen_scratch_floats(int64_t rows, int64_t half_depth) {
  return HWY_DYNAMIC_DISPATCH(ScratchFloats)(rows, half_depth);
}

bool strassen_comparable(float x, float y) {
  constexpr float kLeastShare = 1.0f / 256, kLeast = 1e-30f, kMost = 1e36f;
  const float smaller = std::min(x, y), larger = std::max(x, y);
  return larger >= kLeast && larger <= kMost && smaller >= kLeastShare * larger && !std::isnan(x) && !std::isnan(y);
}

void add_row_profile(const float* row, int64_t depth, float* profile) {
  HWY_DYNAMIC_DISPATCH(AddRowProfile)(row, depth, profile);
}

float add_panel_profile(const float* panel, int64_t depth, float* profile) {
  return HWY_DYNAMIC_DISPATCH(AddPanelProfile)(panel, depth, profile);
}

float dot_product(const float* x, const float* y, int64_t count) { return HWY_DYNAMIC_DISPATCH(Dot)(x, y, count); }

}  // namespace fastort::kernels
#endif
