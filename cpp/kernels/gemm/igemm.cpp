#include "kernels/gemm/igemm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/igemm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/quantized/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::CappedTag<int32_t, 16>;
using D16 = hn::Repartition<int16_t, D32>;
using V32 = hn::Vec<D32>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D32()));
constexpr int kVectors = 2;
constexpr int kPanel = kVectors * kLanes;
// Two accumulators for each row, the two vectors of B, one of A and a product.
constexpr int kRows = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 12 : 6;

struct Tile {
  const int16_t* a;
  int64_t a_stride;
  const int16_t* b;
  int64_t depth;
  std::byte* dst;
  int64_t dst_stride;
  int64_t cols;  // at most kPanel
  IgemmEpilogue epilogue;
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

// Rows of sums as floats, bytes or as they are; rows of T are `stride` apart.
template <class T>
HWY_INLINE void store_rows(const IgemmEpilogue& e, const int32_t* sums, int rows, T* dst, int64_t stride) {
  const D32 d;
  const hn::Rebind<float, D32> df;
  const Requantize<D32> requantize(e.low, e.high, e.zero);
  const V32 bias0 = e.bias ? hn::LoadU(d, e.bias) : hn::Zero(d);
  const V32 bias1 = e.bias ? hn::LoadU(d, e.bias + kLanes) : hn::Zero(d);
  auto scale0 = hn::Zero(df), scale1 = scale0, shift0 = scale0, shift1 = scale0;
  if constexpr (!std::is_same_v<T, int32_t>) {
    scale0 = hn::LoadU(df, e.scales);
    scale1 = hn::LoadU(df, e.scales + kLanes);
    if (e.shift) {
      shift0 = hn::LoadU(df, e.shift);
      shift1 = hn::LoadU(df, e.shift + kLanes);
    }
  }
  for (int i = 0; i < rows; ++i, sums += kPanel, dst += stride) {
    const V32 sum0 = hn::Add(hn::Load(d, sums), bias0), sum1 = hn::Add(hn::Load(d, sums + kLanes), bias1);
    if constexpr (sizeof(T) == 1) {
      store_bytes(requantize(sum0, scale0), requantize(sum1, scale1), dst);
    } else if constexpr (std::is_same_v<T, float>) {
      hn::StoreU(hn::Add(hn::Mul(hn::ConvertTo(df, sum0), scale0), shift0), df, dst);
      hn::StoreU(hn::Add(hn::Mul(hn::ConvertTo(df, sum1), scale1), shift1), df, dst + kLanes);
    } else {
      hn::StoreU(sum0, d, dst);
      hn::StoreU(sum1, d, dst + kLanes);
    }
  }
}

template <int kM>
HWY_INLINE void store_tile(const Tile& t, const int32_t* sums) {
  const auto all = [&]<class T>(T* dst) {
    if (t.cols == kPanel) return store_rows(t.epilogue, sums, kM, dst, t.dst_stride);
    HWY_ALIGN T edge[kM * kPanel];
    store_rows(t.epilogue, sums, kM, edge, kPanel);
    for (int i = 0; i < kM; ++i)
      std::memcpy(dst + i * t.dst_stride, edge + i * kPanel, static_cast<size_t>(t.cols) * sizeof(T));
  };
  switch (t.epilogue.kind) {
    case IgemmEpilogue::Kind::Sums:
      return all(reinterpret_cast<int32_t*>(t.dst));
    case IgemmEpilogue::Kind::Floats:
      return all(reinterpret_cast<float*>(t.dst));
    case IgemmEpilogue::Kind::UInt8:
      return all(reinterpret_cast<uint8_t*>(t.dst));
    case IgemmEpilogue::Kind::Int8:
      return all(reinterpret_cast<int8_t*>(t.dst));
  }
}

template <int kM>
HWY_INLINE void compute_tile(const Tile& t) {
  const D32 d;
  const D16 d16;
  V32 sum[kM][kVectors];
  _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j)
      sum[i][j] = hn::Zero(d);
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
  HWY_ALIGN int32_t sums[kM * kPanel];
  _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j)
      hn::Store(sum[i][j], d, sums + i * kPanel + j * kLanes);
  store_tile<kM>(t, sums);
}

template <int kM>
HWY_NOINLINE void compute_tiles(Tile& t, int64_t count, size_t item) {
  for (; count > 0; --count) {
    compute_tile<kM>(t);
    t.a += kM * t.a_stride;
    t.dst += static_cast<size_t>(kM * t.dst_stride) * item;
  }
}

using TilesFn = void (*)(Tile&, int64_t, size_t);
template <int... kM>
constexpr auto tiles_table(std::integer_sequence<int, kM...>) {
  return std::array<TilesFn, sizeof...(kM)>{compute_tiles<kM + 1>...};
}
constexpr auto kTiles = tiles_table(std::make_integer_sequence<int, kRows>());

void Block(const IgemmBlock& block) {
  const IgemmEpilogue& e = block.epilogue;
  const size_t item = e.kind == IgemmEpilogue::Kind::Sums || e.kind == IgemmEpilogue::Kind::Floats ? 4 : 1;
  Tile t{};
  t.a_stride = block.a_stride;
  t.depth = block.depth;
  t.dst_stride = block.dst_stride;
  t.epilogue = e;
  const int64_t panel = kPanel * block.depth;
  for (int64_t j = 0; j < block.cols; j += kPanel) {
    t.cols = std::min<int64_t>(kPanel, block.cols - j);
    t.b = block.b + j / kPanel * panel;
    t.a = block.a;
    t.dst = block.dst + static_cast<size_t>(j) * item;
    t.epilogue.bias = e.bias ? e.bias + j : nullptr;
    t.epilogue.scales = e.scales ? e.scales + j : nullptr;
    t.epilogue.shift = e.shift ? e.shift + j : nullptr;
    const int64_t rest = block.rows % kRows;
    kTiles[kRows - 1](t, block.rows / kRows, item);
    if (rest > 0) kTiles[static_cast<size_t>(rest - 1)](t, 1, item);
  }
}

template <class T>
void pack(const T* b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n, const int32_t* zeros,
          int16_t* dst) {
  for (int64_t j0 = 0; j0 < n; j0 += kPanel) {
    for (int64_t i = 0; i < k; i += 2) {
      for (int64_t j = j0; j < j0 + kPanel; ++j) {
        for (int64_t half = i; half < i + 2; ++half) {
          const bool inside = j < n && half < k;
          const int32_t value = inside ? b[half * row_stride + j * col_stride] - (zeros ? zeros[j] : 0) : 0;
          *dst++ = static_cast<int16_t>(value);
        }
      }
    }
  }
}

void Pack(const void* b, bool is_signed, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n,
          const int32_t* zeros, int16_t* dst) {
  if (is_signed)
    pack(static_cast<const int8_t*>(b), row_stride, col_stride, k, n, zeros, dst);
  else
    pack(static_cast<const uint8_t*>(b), row_stride, col_stride, k, n, zeros, dst);
}

void Widen(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, int32_t zero, int16_t* dst) {
  const int64_t depth = igemm_padded_depth(k);
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
int64_t TileRows() { return kRows; }

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(Block);
HWY_EXPORT(Pack);
HWY_EXPORT(Widen);
HWY_EXPORT(PanelWidth);
HWY_EXPORT(TileRows);

int64_t igemm_panel_width() { return HWY_DYNAMIC_DISPATCH(PanelWidth)(); }
int64_t igemm_tile_rows() { return HWY_DYNAMIC_DISPATCH(TileRows)(); }

int64_t igemm_padded_columns(int64_t n) {
  const int64_t panel = igemm_panel_width();
  return (n + panel - 1) / panel * panel;
}

size_t igemm_packed_bytes(int64_t k, int64_t n) {
  return static_cast<size_t>(igemm_padded_columns(n) * igemm_padded_depth(k)) * sizeof(int16_t);
}

void igemm_pack(const void* b, bool is_signed, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n,
                const int32_t* zeros, int16_t* dst) {
  HWY_DYNAMIC_DISPATCH(Pack)(b, is_signed, row_stride, col_stride, k, n, zeros, dst);
}

void igemm_widen(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, int32_t zero, int16_t* dst) {
  HWY_DYNAMIC_DISPATCH(Widen)(a, is_signed, stride, rows, k, zero, dst);
}

void igemm_block(const IgemmBlock& block) { HWY_DYNAMIC_DISPATCH(Block)(block); }

}  // namespace fastort::kernels
#endif
