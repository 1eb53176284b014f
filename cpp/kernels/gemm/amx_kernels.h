#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm/epilogue.h"

// The inner loops of products (amx.h) and convolutions (kernels/conv/amx_conv.h) by AMX: how numbers become parts, and
// how parts are multiplied.
namespace fastort::kernels {

// Rows of A that lie together, and the numbers of a row that are multiplied at once.
inline constexpr int64_t kAmxRows = 32;
inline constexpr int64_t kAmxDepth = 32;

// A tile: 16 rows, and a step of the depth, of one part. Three parts of two tiles are a step of kAmxRows rows.
inline constexpr int64_t kAmxTileBytes = 1024;
inline constexpr int64_t kAmxStepBytes = 3 * 2 * kAmxTileBytes;

// Where the parts of A lie: those of a row 64 bytes behind those of the one before.
struct AmxLeft {
  const std::byte* parts = nullptr;
  const int64_t* steps = nullptr;  // bytes from the first step of the depth to each
  int64_t part = 0;                // bytes between the three parts
  int64_t height = 0;              // bytes between kAmxRows rows
};

// The parts of a matrix: for each kAmxRows rows, for each kAmxDepth numbers of the depth, three parts of two tiles.
// What is missing behind the last row and the end of the depth is zero.
size_t amx_left_bytes(int64_t rows, int64_t depth);
// Writes the parts of at most kAmxRows rows. Returns whether all of their numbers are finite and each row's size leaves
// room for its smaller parts.
bool amx_split_left(const float* a, int64_t a_stride, int64_t rows, int64_t depth, std::byte* parts);

// Pixels of two blocks of 16 channels.
struct AmxPixels {
  const float* low = nullptr;
  const float* high = nullptr;       // nullptr: zeros
  int64_t stride = 0, count = 0;     // floats between pixels
  const float* low_gate = nullptr;   // [16] factors of the channels, or nullptr
  const float* high_gate = nullptr;  // where there are `high` and `low_gate`
};
// Writes the parts of pixels, 64 bytes each. Returns a measure of the largest number, which grows with it.
uint32_t amx_split_pixels(const AmxPixels& pixels, std::byte* to, int64_t part);
// What a largest number of this measure asks for: 1; a power of two by which all are to be multiplied, for their
// smaller parts to have room; or 0 where it is infinite, none, or so large that others might be lost beside it.
float amx_scale(uint32_t measure);

// Some panels of B with some rows of A, computed by one thread.
struct AmxBlock {
  static constexpr int64_t kMostRows = 256;
  static constexpr int64_t kMostPanels = 8;

  AmxLeft left;
  int64_t rows = 0, cols = 0, depth = 0;
  const float* b = nullptr;       // packed panels of sgemm_panel_width() columns
  const float* next_b = nullptr;  // the panel that the thread takes next, or nullptr
  float* c = nullptr;
  int64_t c_stride = 0;
  float alpha = 1;
  Epilogue epilogue;               // of pixels: the bias of whole panels, none for rows
  const float* factors = nullptr;  // of pixels, whole panels: what `alpha` and a column's sums are multiplied with
  // Where rows are pixels of maps in blocks of 16 channels: floats from `c`, and from the residual, to each, -1 for one
  // that is left out; and floats between two blocks. Channels behind the last one are written as zeros.
  const int64_t* places = nullptr;
  int64_t c_block = 0;
};
// Returns a bit for each panel whose numbers do not suit; these columns of C hold nothing.
uint64_t amx_block(const AmxBlock& block, std::byte* scratch);

// A single pixel in plain form. numbers[2 * i] and numbers[2 * i + 1]: the channels of step i; nullptr: zeros.
void amx_plain_pixel(const AmxBlock& block, const float* const* numbers);

// Memory of a thread, 64-byte aligned, for products of such a depth; made ready for a run, and let go of afterwards.
size_t amx_scratch_bytes(int64_t depth);
void amx_begin(std::byte* scratch);
void amx_end();

}  // namespace fastort::kernels
