#pragma once

#include <cstddef>
#include <cstdint>

namespace fastort::kernels {

// Products of 8-bit integers, exact in 32 bits whatever the zero points are: both operands are widened to 16 bits with
// their zero points taken off, and neighbours along k are multiplied and added in pairs.

// What happens to the sums of a column before they are stored. Arrays have one item for each column, padded to
// igemm_padded_columns().
struct IgemmEpilogue {
  enum class Kind : uint8_t { Sums, Floats, UInt8, Int8 };
  Kind kind = Kind::Sums;
  const int32_t* bias = nullptr;  // or nullptr; added to the sums
  const float* scales = nullptr;  // but for Sums: the sums become floats and are scaled
  const float* shift = nullptr;   // Floats only, or nullptr: added behind the scale
  float low = 0, high = 0;        // bytes only: bounds of the rounded value before `zero` is added
  int32_t zero = 0;               // bytes only
};

// dst[rows, cols] from rows of A (see igemm_widen; `depth` items each, even) and panels of packed B.
struct IgemmBlock {
  int64_t rows = 0, cols = 0, depth = 0;
  const int16_t* a = nullptr;
  int64_t a_stride = 0;
  const int16_t* b = nullptr;  // of the panel of the first column
  std::byte* dst = nullptr;
  int64_t dst_stride = 0;  // in elements
  IgemmEpilogue epilogue;  // arrays stand at the first column
};

// Columns of a panel: blocks begin at multiples of it.
int64_t igemm_panel_width();
int64_t igemm_tile_rows();
int64_t igemm_padded_columns(int64_t n);
// The depth of a row of A and of a column of B in memory.
constexpr int64_t igemm_padded_depth(int64_t k) { return (k + 1) / 2 * 2; }

// Bytes of a packed B [k, n]; a panel takes igemm_panel_width() * igemm_padded_depth(k) items.
size_t igemm_packed_bytes(int64_t k, int64_t n);
// 8-bit element (i, j) of B is b[i * row_stride + j * col_stride]. `zeros`: one for each column, or nullptr.
void igemm_pack(const void* b, bool is_signed, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n,
                const int32_t* zeros, int16_t* dst);
// `rows` rows of A with `k` neighbouring 8-bit items each, `zero` taken off, the odd item behind them 0.
void igemm_widen(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, int32_t zero, int16_t* dst);

void igemm_block(const IgemmBlock& block);

}  // namespace fastort::kernels
