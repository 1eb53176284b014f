#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm/epilogue.h"

// The inner loops of products by AMX (amx.h).
namespace fastort::kernels {

// Rows of A that lie together, and the numbers of a row that are multiplied at once.
inline constexpr int64_t kAmxRows = 32;
inline constexpr int64_t kAmxDepth = 32;

// A as parts: for each kAmxRows rows, for each kAmxDepth numbers of the depth, three parts of two tiles. What is
// missing behind the last row and the end of the depth is zero.
size_t amx_left_bytes(int64_t rows, int64_t depth);
// Writes the parts of at most kAmxRows rows. Returns whether all of their numbers are finite and each row's size leaves
// room for its smaller parts.
bool amx_split_left(const float* a, int64_t a_stride, int64_t rows, int64_t depth, std::byte* parts);

// Some panels of B with some rows of A, computed by one thread.
struct AmxBlock {
  static constexpr int64_t kMostRows = 256;
  static constexpr int64_t kMostPanels = 8;

  const std::byte* left = nullptr;  // parts of the first row; whole depth
  int64_t rows = 0, cols = 0, depth = 0;
  const float* b = nullptr;       // packed panels of sgemm_panel_width() columns
  const float* next_b = nullptr;  // the panel that the thread takes next, or nullptr
  float* c = nullptr;
  int64_t c_stride = 0;
  float alpha = 1;
  Epilogue epilogue;
};
// Returns a bit for each panel whose numbers do not suit; these columns of C hold nothing.
uint64_t amx_block(const AmxBlock& block, std::byte* scratch);

// Memory of a thread, 64-byte aligned, for products of such a depth; made ready for a run, and let go of afterwards.
size_t amx_scratch_bytes(int64_t depth);
void amx_begin(std::byte* scratch);
void amx_end();

}  // namespace fastort::kernels
