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
  float* sums = nullptr;   // kSums matrices [upper, half_depth], one behind the other
  float* norms = nullptr;  // [upper]: the sum of the squares of a row and of the one that lies as far below the middle
};
// Fills in sums and norms of rows [begin, end) of a half.
void strassen_add_left(const StrassenLeft& left, int64_t begin, int64_t end);

// The sum of the squares of `count` numbers.
float sum_of_squares(const float* data, int64_t count);

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
  // What the squares of a row of C's panel add up to, at least, for each unit of `left->norms`.
  float least = 0;
  Epilogue epilogue;
};
// Returns whether all rows of both panels were large enough, and no sum left the range of numbers.
bool strassen_block(const StrassenBlock& block);

int64_t strassen_scratch_floats(int64_t rows, int64_t half_depth);

}  // namespace fastort::kernels
