#pragma once

#include <cstdint>

#include "kernels/gemm/epilogue.h"

namespace fastort::kernels {

// A rectangle of C, computed by one thread: C = epilogue(row_factor * alpha * A * B).
struct SgemmBlock {
  int64_t rows = 0, cols = 0, depth = 0;
  const float* a = nullptr;
  int64_t a_stride = 0;  // between rows; the elements of a row are adjacent
  const float* b = nullptr;
  int64_t b_stride = 0;           // between rows of one panel
  int64_t b_panel_stride = 0;     // between panels of sgemm_panel_width() columns
  bool b_padded = false;          // the last panel is as wide as the others, filled up with anything finite
  bool b_near = false;            // B lies in the second cache and need not be fetched ahead
  const float* next_b = nullptr;  // of the block that the thread computes next, where B is padded; or nullptr
  float* c = nullptr;
  int64_t c_stride = 0;
  float alpha = 1;
  const float* row_factor = nullptr;  // one for each row, or none
  Epilogue epilogue;
};
void sgemm_block(const SgemmBlock& block);

// Into how many rows a block of so many is cut: its A then stays in the second cache.
int64_t sgemm_row_step(int64_t rows, int64_t depth);

// Columns in a packed panel on this machine.
int64_t sgemm_panel_width();
// Packed panels that a block of so many rows reads side by side.
int64_t sgemm_panel_group(int64_t rows);
// Rows of C that the widest inner loop computes at once.
int64_t sgemm_tile_rows();

// Packs panels [first, last) of factor * B (depth x cols), element (k, j) at b[k * row_stride + j * col_stride]: each
// panel holds `depth` rows of sgemm_panel_width() columns, zeros behind the last column. `dst` is where panel 0 would
// lie.
void sgemm_pack_panels(const float* b, int64_t row_stride, int64_t col_stride, int64_t depth, int64_t cols,
                       int64_t first, int64_t last, float* dst, float factor = 1);

// dst[i * dst_stride + j] = src[j * src_stride + i] for i < rows, j < cols.
void transpose_floats(const float* src, int64_t src_stride, int64_t rows, int64_t cols, float* dst, int64_t dst_stride);

// Applies an activation in place.
void activate_floats(const ActivationSpec& activation, float* data, int64_t count);

}  // namespace fastort::kernels
