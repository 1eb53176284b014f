#include <algorithm>
#include <cstring>

#include "kernels/gemm/igemm_forms.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/igemm_pairs.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/gemm/igemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {

using namespace igemm;
using D16 = hn::Repartition<int16_t, D32>;

// Two accumulators for each row, the two vectors of B, one of A and a product.
constexpr int kRows = kManyRegisters ? 12 : 6;

struct Tile {
  const int16_t* a;
  int64_t a_stride;
  const int16_t* b;
  int64_t depth;
  int32_t start[kPanel];
  TileOut out;
};

HWY_INLINE V32 multiply_add(V32 sum, hn::Vec<D16> a, hn::Vec<D16> b) {
  const D32 d;
#if HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX3_ZEN4 || HWY_TARGET == HWY_AVX3_SPR
  V32 unused = hn::Zero(d);
  return hn::ReorderWidenMulAccumulate(d, a, b, sum, unused);
#else
  return hn::Add(sum, hn::WidenMulPairwiseAdd(d, a, b));
#endif
}

template <int kM>
HWY_INLINE void compute_tile(const Tile& t) {
  const D32 d;
  const D16 d16;
  Sums<kM> sum;
  FASTORT_FOR_TILE sum[i][j] = hn::LoadU(d, t.start + j * kLanes);
  const int16_t* a = t.a;
  const int16_t* b = t.b;
  const int64_t stride = t.a_stride;
  for (int64_t k = 0; k < t.depth; k += 2) {
    const auto b0 = hn::LoadU(d16, b), b1 = hn::LoadU(d16, b + 2 * kLanes);
    _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) {
      int32_t pair;
      std::memcpy(&pair, a + i * stride, sizeof(pair));
      const auto both = hn::BitCast(d16, hn::Set(d, pair));
      sum[i][0] = multiply_add(sum[i][0], both, b0);
      sum[i][1] = multiply_add(sum[i][1], both, b1);
    }
    a += 2;
    b += 2 * kPanel;
  }
  store_tile<kM>(t.out, sum);
}

struct Pairs {
  using Tile = HWY_NAMESPACE::Tile;
  static constexpr int kRows = HWY_NAMESPACE::kRows;
  template <int kM>
  static HWY_INLINE void compute(const Tile& t) {
    compute_tile<kM>(t);
  }
  static int64_t begin(Tile&, int64_t) { return 0; }
};

void Block(const IgemmBlock& block) {
  Tile t{};
  t.a_stride = block.a_stride / 2;
  t.depth = block.weights->depth();
  const auto* b = reinterpret_cast<const int16_t*>(block.b);
  const auto* a = reinterpret_cast<const int16_t*>(block.a);
  compute_block<Pairs>(block, t, [&](Tile& tile, int64_t panel) {
    tile.a = a;
    tile.b = b + panel * kPanel * tile.depth;
  });
}

template <class T>
void pack(const IgemmSource& source, int64_t k, int64_t n, int16_t* dst) {
  const T* b = static_cast<const T*>(source.data);
  for (int64_t j0 = 0; j0 < n; j0 += kPanel) {
    for (int64_t i = 0; i < k; i += 2) {
      for (int64_t j = j0; j < j0 + kPanel; ++j) {
        for (int64_t half = i; half < i + 2; ++half) {
          const bool inside = j < n && half < k;
          const int32_t zero = inside && source.zeros ? source.zeros[j] : 0;
          *dst++ = static_cast<int16_t>(inside ? b[half * source.row_stride + j * source.col_stride] - zero : 0);
        }
      }
    }
  }
}

void Pack(const IgemmWeights& weights, const IgemmSource& source, int16_t* dst) {
  if (source.is_signed)
    pack<int8_t>(source, weights.k, weights.n, dst);
  else
    pack<uint8_t>(source, weights.k, weights.n, dst);
}

void Rows(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, int32_t zero, int16_t* dst) {
  const int64_t depth = IgemmWeights{IgemmForm::Pairs, k, 0, 0}.depth();
  const auto all = [&]<class T>(const T* src) {
    if (stride == k && depth == k) return widen_bytes(src, rows * k, zero, dst);
    for (int64_t i = 0; i < rows; ++i, src += stride, dst += depth) {
      widen_bytes(src, k, zero, dst);
      if (depth != k) dst[k] = 0;
    }
  };
  if (is_signed)
    all(static_cast<const int8_t*>(a));
  else
    all(static_cast<const uint8_t*>(a));
}

int64_t PanelWidth() { return kPanel; }
int64_t PairsRows() { return kRows; }

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Block);
HWY_EXPORT(Pack);
HWY_EXPORT(Rows);
HWY_EXPORT(PanelWidth);
HWY_EXPORT(PairsRows);

int64_t igemm_panel_width() { return HWY_DYNAMIC_DISPATCH(PanelWidth)(); }
int64_t igemm_pairs_tile_rows() { return HWY_DYNAMIC_DISPATCH(PairsRows)(); }

size_t igemm_pairs_bytes(const IgemmWeights& weights) {
  return static_cast<size_t>(igemm_padded_columns(weights.n) * weights.depth()) * sizeof(int16_t);
}

void igemm_pairs_pack(const IgemmWeights& weights, const IgemmSource& b, std::byte* dst) {
  HWY_DYNAMIC_DISPATCH(Pack)(weights, b, reinterpret_cast<int16_t*>(dst));
}

void igemm_pairs_rows(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, int32_t zero,
                      int16_t* dst) {
  HWY_DYNAMIC_DISPATCH(Rows)(a, is_signed, stride, rows, k, zero, dst);
}

void igemm_pairs_block(const IgemmBlock& block) { HWY_DYNAMIC_DISPATCH(Block)(block); }

}  // namespace fastort::kernels
#endif
