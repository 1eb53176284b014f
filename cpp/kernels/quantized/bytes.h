#pragma once

#include <cstddef>
#include <cstdint>

#include "base/parallel.h"
#include "kernels/pool.h"

// Elementwise work and pooling on 8-bit quantized tensors. A byte is read as int8_t or uint8_t, as `is_signed` says.
namespace fastort::kernels {

// What bytes stand for: (byte - zero) * scale.
struct ByteScale {
  float scale = 1;
  int32_t zero = 0;
};

// byte = clamp(round half to even(value / scale)) + zero.
struct ByteRange {
  float low = 0, high = 0;  // before `zero` is added
  int32_t zero = 0;
  bool is_signed = false;

  static ByteRange of(bool is_signed, int32_t zero) {
    const int32_t lowest = is_signed ? -128 : 0;
    return {static_cast<float>(lowest - zero), static_cast<float>(lowest + 255 - zero), zero, is_signed};
  }
  // The byte of a value that is divided by the scale already; NaN gives the lowest.
  std::byte operator()(float value) const;
};

inline int32_t read_byte(std::byte byte, bool is_signed) {
  return is_signed ? static_cast<int32_t>(static_cast<int8_t>(byte)) : static_cast<int32_t>(byte);
}

// dst = a * b or a + b of quantized operands. With `vector` false an operand is one byte for all.
struct ByteBinary {
  bool multiply = false;
  int32_t a_zero = 0, b_zero = 0;
  float a_ratio = 1, b_ratio = 1;  // its scale by that of the result; for a product their product is `a_ratio`
  ByteRange range;
};
void byte_binary(const ByteBinary& op, const std::byte* a, bool a_vector, const std::byte* b, bool b_vector,
                 std::byte* dst, int64_t n);

// dst[i] = table[src[i]], by the bits of the byte.
void byte_lookup(const std::byte* table, const std::byte* src, std::byte* dst, int64_t n);

// The least and the greatest of the numbers and zero.
struct FloatRange {
  float low = 0, high = 0;
};
FloatRange float_range(const float* src, int64_t n, const Parallel& parallel);
// The parameters of DynamicQuantizeLinear, to uint8.
ByteScale dynamic_scale(FloatRange range);

void quantize_bytes(const float* src, float scale, const ByteRange& range, std::byte* dst, int64_t n);
void dequantize_bytes(const std::byte* src, bool is_signed, ByteScale scale, float* dst, int64_t n);

// Average (the padding as zeros where the kind says so) or Max, whose source and range are the same. The tensor lies as
// [N, spatial, C] or [N, C, spatial]. `ratio`: the scale of the source by that of the result.
struct BytePool {
  PoolShape shape;
  bool channels_last = false;
  bool src_signed = false;
  int32_t src_zero = 0;
  float ratio = 1;
  ByteRange range;
};
// Nanoseconds, about, on one thread.
double byte_pool_cost(const BytePool& pool);
void byte_pool(const BytePool& pool, const std::byte* src, std::byte* dst, const Parallel& parallel);

}  // namespace fastort::kernels
