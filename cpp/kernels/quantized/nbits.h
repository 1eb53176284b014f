#pragma once

#include <cstddef>
#include <cstdint>

namespace fastort::kernels {

// Weights [n, k] of 2, 4 or 8 bits in blocks along k, each with a scale and a zero point: (q - zero) * scale. Numbers
// are packed low bits first; a row is a whole number of blocks.
struct NBitsMatrix {
  int64_t n = 0, k = 0, bits = 4, block = 32;
  const uint8_t* data = nullptr;
  const float* scales = nullptr;          // [n, blocks]
  const float* zeros = nullptr;           // [n, blocks]
  const uint8_t* packed_zeros = nullptr;  // [n, bytes], packed like the data; with neither: 2^(bits - 1)
  const int32_t* groups = nullptr;        // the block whose scale and zero point serve position k; nullptr: its own

  int64_t blocks() const { return (k + block - 1) / block; }
  float zero(int64_t row, int64_t group) const {
    if (zeros) return zeros[row * blocks() + group];
    if (!packed_zeros) return static_cast<float>(1 << (bits - 1));
    const int64_t bit = group * bits, bytes = (blocks() * bits + 7) / 8;
    return static_cast<float>((packed_zeros[row * bytes + bit / 8] >> (bit % 8)) & ((1 << bits) - 1));
  }
};

// One row as floats.
void nbits_dequantize(const NBitsMatrix& b, int64_t row, float* dst);

// Products of one row of floats with many rows of the matrix, without making floats of the matrix in memory. The row is
// put in order once. Not for matrices with `groups`.
class NBitsRow {
 public:
  // With `bytes` the row is rounded to 8-bit integers, block by block: scale = max |a| / 127.
  NBitsRow(int64_t k, int64_t bits, int64_t block, bool bytes);
  // Whether the rounded form is there for such a matrix.
  static bool has_bytes(int64_t bits, int64_t block);

  size_t prepared_bytes() const;
  void prepare(const float* a, std::byte* dst) const;
  // dst[j] = a . row j of B + bias[j] for j in [first, last).
  void dots(const NBitsMatrix& b, const std::byte* prepared, const float* bias, int64_t first, int64_t last,
            float* dst) const;

 private:
  int64_t k_, bits_, block_, blocks_;
  bool bytes_;
};

}  // namespace fastort::kernels
