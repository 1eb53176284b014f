// Included once for each SIMD target.
#if defined(FASTORT_IGEMM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTORT_IGEMM_INL_H
#undef FASTORT_IGEMM_INL_H
#else
#define FASTORT_IGEMM_INL_H
#endif

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "hwy/highway.h"
#include "kernels/gemm/igemm.h"
#include "kernels/quantized/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What the kernels of both forms share: tiles of some rows and kVectors vectors of columns.
namespace igemm {

using D32 = hn::CappedTag<int32_t, 16>;
using V32 = hn::Vec<D32>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D32()));
constexpr int kVectors = 2;
constexpr int kPanel = kVectors * kLanes;
constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON;

#define FASTORT_FOR_TILE \
  _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i) _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j)

template <int kM>
using Sums = V32[kM][kVectors];

// Where the sums of a tile go.
struct TileOut {
  std::byte* dst;
  int64_t stride;
  int64_t cols;  // at most kPanel
  IgemmEpilogue epilogue;

  size_t item() const {
    return epilogue.kind == IgemmEpilogue::Kind::Sums || epilogue.kind == IgemmEpilogue::Kind::Floats ? 4 : 1;
  }
};

template <int kM, class T>
HWY_INLINE void store_rows(const IgemmEpilogue& e, Sums<kM>& sum, T* dst, int64_t stride) {
  const D32 d;
  if constexpr (std::is_same_v<T, int32_t>) {
    FASTORT_FOR_TILE hn::StoreU(sum[i][j], d, dst + i * stride + j * kLanes);
  } else {
    const hn::Rebind<float, D32> df;
    hn::Vec<decltype(df)> scale[kVectors];
    _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j) scale[j] = hn::LoadU(df, e.scales + j * kLanes);
    if constexpr (sizeof(T) == 1) {
      const Requantize<D32> requantize(e.low, e.high, e.zero);
      _Pragma("GCC unroll 12") for (int i = 0; i < kM; ++i)
          store_bytes(requantize(sum[i][0], scale[0]), requantize(sum[i][1], scale[1]), dst + i * stride);
    } else {
      hn::Vec<decltype(df)> shift[kVectors];
      _Pragma("GCC unroll 2") for (int j = 0; j < kVectors; ++j) shift[j] =
          e.shift ? hn::LoadU(df, e.shift + j * kLanes) : hn::Zero(df);
      FASTORT_FOR_TILE hn::StoreU(hn::Add(hn::Mul(hn::ConvertTo(df, sum[i][j]), scale[j]), shift[j]), df,
                                  dst + i * stride + j * kLanes);
    }
  }
}

template <int kM, class T>
HWY_INLINE void store_as(const TileOut& t, Sums<kM>& sum) {
  T* const dst = reinterpret_cast<T*>(t.dst);
  if (t.cols == kPanel) return store_rows<kM>(t.epilogue, sum, dst, t.stride);
  HWY_ALIGN T edge[kM * kPanel];
  store_rows<kM>(t.epilogue, sum, edge, kPanel);
  for (int i = 0; i < kM; ++i)
    std::memcpy(dst + i * t.stride, edge + i * kPanel, static_cast<size_t>(t.cols) * sizeof(T));
}

template <int kM>
HWY_INLINE void store_tile(const TileOut& t, Sums<kM>& sum) {
  switch (t.epilogue.kind) {
    case IgemmEpilogue::Kind::Sums:
      return store_as<kM, int32_t>(t, sum);
    case IgemmEpilogue::Kind::Floats:
      return store_as<kM, float>(t, sum);
    case IgemmEpilogue::Kind::UInt8:
      return store_as<kM, uint8_t>(t, sum);
    case IgemmEpilogue::Kind::Int8:
      return store_as<kM, int8_t>(t, sum);
  }
}

// `count` tiles of kM rows below one another; afterwards `t` stands below them.
template <class Form, int kM>
HWY_NOINLINE void compute_tiles(typename Form::Tile& t, int64_t count) {
  for (; count > 0; --count) {
    Form::template compute<kM>(t);
    t.a += kM * t.a_stride;
    t.out.dst += static_cast<size_t>(kM * t.out.stride) * t.out.item();
  }
}

template <class Form, int... kM>
constexpr auto tiles_table(std::integer_sequence<int, kM...>) {
  return std::array<void (*)(typename Form::Tile&, int64_t), sizeof...(kM)>{compute_tiles<Form, kM + 1>...};
}

// All tiles of a block. A Form has `kRows`, the rows of a whole tile, `compute<kM>(tile)`, and a Tile with the members
// `a` and `a_stride`, `start`, with which its sums begin, and `out`. `at_panel(tile, panel)` sets its operands. What
// `begin(tile, rows)` computes otherwise are the first rows; it returns their number.
template <class Form, class AtPanel>
HWY_INLINE void compute_block(const IgemmBlock& block, typename Form::Tile& t, const AtPanel& at_panel) {
  static constexpr auto kTiles = tiles_table<Form>(std::make_integer_sequence<int, Form::kRows>());
  const IgemmEpilogue& e = block.epilogue;
  t.out.stride = block.dst_stride;
  t.out.epilogue = e;
  const size_t item = t.out.item();
  for (int64_t j = 0; j < block.cols; j += kPanel) {
    t.out.cols = std::min<int64_t>(kPanel, block.cols - j);
    t.out.dst = block.dst + static_cast<size_t>(j) * item;
    for (int at = 0; at < kPanel; at += kLanes)
      hn::StoreU(e.bias ? hn::LoadU(D32(), e.bias + j + at) : hn::Zero(D32()), D32(), t.start + at);
    t.out.epilogue.scales = e.scales ? e.scales + j : nullptr;
    t.out.epilogue.shift = e.shift ? e.shift + j : nullptr;
    at_panel(t, (block.col + j) / kPanel);
    const int64_t rows = block.rows - Form::begin(t, block.rows), rest = rows % Form::kRows;
    kTiles.back()(t, rows / Form::kRows);
    if (rest > 0) kTiles[static_cast<size_t>(rest - 1)](t, 1);
  }
}

}  // namespace igemm
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
