#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace fastort::kernels {

// Products of 8-bit integers, exact in 32 bits whatever the zero points are.
enum class IgemmForm : uint8_t {
  // Both operands lie in 16 bits with their zero points taken off; neighbours along k are multiplied and added in
  // pairs.
  Pairs,
  // A lies in unsigned bytes as it is, B in signed ones with its zero points taken off; four neighbours are multiplied
  // and added at a time, in 16 bits first. Weights whose pairs could leave these are parted: what is too much is
  // multiplied once more. VNNI adds in 32 bits at once, and Intel's matrix unit multiplies tiles of such rows and
  // columns where they lie; there only weights that are no bytes once their zero points are off are parted.
  Quads,
};

// A matrix B [k, n] of weights as the kernels read it.
struct IgemmWeights {
  IgemmForm form = IgemmForm::Pairs;
  int64_t k = 0, n = 0;
  int64_t extras = 0;  // quads of a vector's columns that are multiplied once more

  // Items of a row of A and of a column of B in memory.
  int64_t depth() const { return form == IgemmForm::Pairs ? (k + 1) / 2 * 2 : (k + 3) / 4 * 4; }
  int64_t row_bytes() const { return form == IgemmForm::Pairs ? depth() * 2 : depth(); }
  size_t packed_bytes() const;
};

// A name of the form and the sizes, the same for matrices that are packed alike.
std::string to_string(const IgemmWeights& weights);

// 8-bit element (i, j) of a B is data[i * row_stride + j * col_stride].
struct IgemmSource {
  const void* data = nullptr;
  bool is_signed = true;
  int64_t row_stride = 0, col_stride = 0;
  const int32_t* zeros = nullptr;  // one for each column, or nullptr
};

// The form in which B is multiplied fastest. Quads of weights that all are large would be multiplied twice.
IgemmWeights igemm_choose(const IgemmSource& b, int64_t k, int64_t n);
// The same for a further matrix of these sizes that is packed like the others.
void igemm_choose_too(const IgemmSource& b, IgemmWeights& weights);
void igemm_pack(const IgemmWeights& weights, const IgemmSource& b, std::byte* dst);

// `rows` rows of A with `k` neighbouring 8-bit items each, one behind the other in the weights' form. Pairs have `zero`
// taken off; quads take it off behind the product.
void igemm_rows(const IgemmWeights& weights, const void* a, bool is_signed, int64_t stride, int64_t rows, int32_t zero,
                std::byte* dst);
// Whether rows of A serve as they lie.
inline bool igemm_reads_in_place(const IgemmWeights& weights, bool is_signed) {
  return weights.form == IgemmForm::Quads && !is_signed && weights.k == weights.depth();
}
// The zero point that igemm_block needs for such rows.
inline int32_t igemm_zero(const IgemmWeights& weights, bool is_signed, int32_t zero) {
  return weights.form == IgemmForm::Pairs ? 0 : is_signed ? zero + 128 : zero;
}

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

// dst[rows, cols] from rows of A and the columns of B from `col` on, a multiple of igemm_panel_width().
struct IgemmBlock {
  const IgemmWeights* weights = nullptr;
  const std::byte* b = nullptr;
  int64_t col = 0, cols = 0, rows = 0;
  const std::byte* a = nullptr;
  int64_t a_stride = 0;  // in bytes
  int32_t a_zero = 0;    // igemm_zero()
  std::byte* dst = nullptr;
  int64_t dst_stride = 0;  // in elements
  IgemmEpilogue epilogue;  // arrays stand at the first column
};

void igemm_block(const IgemmBlock& block);

int64_t igemm_panel_width();
int64_t igemm_tile_rows(IgemmForm form);
int64_t igemm_padded_columns(int64_t n);

}  // namespace fastort::kernels
