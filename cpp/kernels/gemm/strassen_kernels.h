#pragma once

#include <cstdint>

#include "kernels/gemm/epilogue.h"

namespace fastort::kernels {

// A in quarters. The lower half of its rows may be one row shorter than the upper.
struct StrassenLeft {
  static constexpr int kSums = 5;

  const float* a = nullptr;
  int64_t a_stride = 0;  // between rows
  int64_t upper = 0, lower = 0;
  int64_t half_depth = 0;
  float* sums = nullptr;  // kSums matrices [upper, half_depth], one behind the other
};
// Makes the sums of rows [begin, end) of a half. Returns whether each of these rows is of the size of that of the other
// half (`strassen_comparable`).
bool strassen_add_left(const StrassenLeft& left, int64_t begin, int64_t end);

// Two of B's panels, one of either half of its columns, with some rows of both halves of A.
struct StrassenBlock {
  const StrassenLeft* left = nullptr;
  int64_t row_begin = 0, row_end = 0;           // of a half
  const float* b[2] = {nullptr, nullptr};       // the panels, whole depth
  const float* next_b[2] = {nullptr, nullptr};  // those that the thread takes next, or nullptr
  float* scratch = nullptr;                     // strassen_scratch_floats()
  float* c = nullptr;                           // row 0, the left panel's first column
  int64_t c_stride = 0;
  int64_t c_right = 0;  // columns from the left panel to the right one
  float alpha = 1;
  Epilogue epilogue;
};
void strassen_block(const StrassenBlock& block);
int64_t strassen_scratch_floats(int64_t rows, int64_t half_depth);

// Whether two sums of squares are of one size, finite, and far enough from the ends of float32 for products of such
// rows and columns to be, too.
bool strassen_comparable(float x, float y);

// Adds to profile[k] the share that column k has in the squares of a row.
void add_row_profile(const float* row, int64_t depth, float* profile);
// Adds to profile[k] the share that row k has in the squares of a packed panel, which it returns.
float add_panel_profile(const float* panel, int64_t depth, float* profile);
float dot_product(const float* x, const float* y, int64_t count);

}  // namespace fastort::kernels
