#include "kernels/quantized/nbits.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantized/nbits.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Calls f(numbers) with the first number of each byte, then with the second one, and so on.
template <int kBits, class V, class F>
HWY_INLINE void for_parts(V packed, F f) {
  const hn::DFromV<V> d;
  if constexpr (kBits == 8) return f(packed);
  const auto mask = hn::Set(d, static_cast<uint8_t>((1 << kBits) - 1));
  f(hn::And(packed, mask));
  if constexpr (kBits == 4) {
    f(hn::ShiftRight<4>(packed));
  } else if constexpr (kBits == 2) {
    f(hn::And(hn::ShiftRight<2>(packed), mask));
    f(hn::And(hn::ShiftRight<4>(packed), mask));
    f(hn::ShiftRight<6>(packed));
  }
}

// What the zero points take off the product of a row: the sum of total * scale * zero over its blocks.
float taken_off(const NBitsMatrix& b, int64_t row, const float* totals) {
  using D = hn::CappedTag<float, 8>;
  const D d;
  const hn::Rebind<int32_t, D> d32;
  const hn::Rebind<uint8_t, D> d8;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D())), kPiece = 32;
  const int64_t blocks = b.blocks();
  const float* scales = b.scales + row * blocks;
  const bool symmetric = !b.zeros && !b.packed_zeros;
  const uint8_t* packed = b.bits == 4 && b.packed_zeros ? b.packed_zeros + row * ((blocks + 1) / 2) : nullptr;
  const hn::FixedTag<uint8_t, 16> all;
  HWY_ALIGN uint8_t zeros[kPiece];
  auto sum = hn::Zero(d);
  int64_t i = 0;
  if (symmetric) {
    for (; i + kLanes <= blocks; i += kLanes) sum = hn::MulAdd(hn::LoadU(d, totals + i), hn::LoadU(d, scales + i), sum);
    sum = hn::Mul(sum, hn::Set(d, static_cast<float>(1 << (b.bits - 1))));
  } else if (b.zeros) {
    for (; i + kLanes <= blocks; i += kLanes) {
      const auto factor = hn::Mul(hn::LoadU(d, totals + i), hn::LoadU(d, scales + i));
      sum = hn::MulAdd(factor, hn::LoadU(d, b.zeros + row * blocks + i), sum);
    }
  } else if (packed) {
    for (; i + kPiece <= blocks; i += kPiece) {
      const auto both = hn::LoadU(all, packed + i / 2);
      const auto low = hn::And(both, hn::Set(all, uint8_t{15})), high = hn::ShiftRight<4>(both);
      hn::Store(hn::InterleaveLower(all, low, high), all, zeros);
      hn::Store(hn::InterleaveUpper(all, low, high), all, zeros + 16);
      for (int64_t k = 0; k < kPiece; k += kLanes) {
        const auto zero = hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, zeros + k)));
        sum = hn::MulAdd(hn::Mul(hn::LoadU(d, totals + i + k), hn::LoadU(d, scales + i + k)), zero, sum);
      }
    }
  }
  float less = hn::ReduceSum(d, sum);
  for (; i < blocks; ++i) less += totals[i] * scales[i] * b.zero(row, i);
  return less;
}

// block_sum(q, i, scale, sum) adds the product of block i of the row at q.
template <class D, class BlockSum>
HWY_INLINE void all_rows(D d, const NBitsMatrix& b, int64_t row_bytes, const float* totals, const float* bias,
                         int64_t first, int64_t last, float* dst, BlockSum block_sum) {
  const int64_t blocks = b.blocks();
  for (int64_t j = first; j < last; ++j) {
    const float* scales = b.scales + j * blocks;
    const uint8_t* q = b.data + j * row_bytes;
    auto even = hn::Zero(d), odd = hn::Zero(d);
    int64_t i = 0;
    for (; i + 2 <= blocks; i += 2) {
      even = block_sum(q, i, scales[i], even);
      odd = block_sum(q, i + 1, scales[i + 1], odd);
    }
    if (i < blocks) even = block_sum(q, i, scales[i], even);
    dst[j] = hn::ReduceSum(d, hn::Add(even, odd)) - taken_off(b, j, totals) + (bias ? bias[j] : 0);
  }
}

// kBytes of a block are taken apart together.
template <int kBits, int kBytes>
void float_dots(const NBitsMatrix& b, const float* prepared, const float* totals, const float* bias, int64_t first,
                int64_t last, float* dst) {
  const hn::CappedTag<float, kBytes> d;
  const hn::Rebind<int32_t, decltype(d)> d32;
  const hn::Rebind<uint8_t, decltype(d)> few;
  const hn::FixedTag<uint8_t, kBytes> all;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(d));
  const int64_t bytes = b.block * kBits / 8;
  all_rows(
      d, b, bytes * b.blocks(), totals, bias, first, last,
      dst, [&](const uint8_t* q, int64_t i, float scale, auto sum) __attribute__((always_inline)) {
        const float* a = prepared + i * b.block;
        HWY_ALIGN uint8_t parts[kBytes];
        hn::Vec<decltype(d)> sums[2] = {hn::Zero(d), hn::Zero(d)};
        for (int64_t at = i * bytes; at < (i + 1) * bytes; at += kBytes) {
          for_parts<kBits>(
              hn::LoadU(all, q + at), [&](auto numbers) __attribute__((always_inline)) {
                hn::StoreU(numbers, all, parts);
                _Pragma("GCC unroll 4") for (int64_t k = 0; k < kBytes; k += kLanes) {
                  const auto real = hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(few, parts + k)));
                  sums[k / kLanes % 2] = hn::MulAdd(real, hn::LoadU(d, a + k), sums[k / kLanes % 2]);
                }
                a += kBytes;
              });
        }
        return hn::MulAdd(hn::Add(sums[0], sums[1]), hn::Set(d, scale), sum);
      });
}

// Both operands as bytes; numbers of up to 4 bits keep the sums of pairs within 16 bits.
template <int kBits>
void byte_dots(const NBitsMatrix& b, const int8_t* prepared, const float* row_scales, const float* totals,
               const float* bias, int64_t first, int64_t last, float* dst) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<int32_t, 4> d32;
  const hn::FixedTag<int16_t, 8> d16;
  const hn::FixedTag<uint8_t, 16> du8;
  const hn::FixedTag<int8_t, 16> d8;
  const int64_t bytes = b.block * kBits / 8;
  const auto ones = hn::Set(d16, int16_t{1});
  all_rows(d, b, bytes * b.blocks(), totals, bias, first, last, dst,
           [&](const uint8_t* q, int64_t i, float scale, auto sum) {
             const int8_t* a = prepared + i * b.block;
             auto whole = hn::Zero(d32);
             for (int64_t at = i * bytes; at < (i + 1) * bytes; at += 16) {
               auto pairs = hn::Zero(d16);
               for_parts<kBits>(hn::LoadU(du8, q + at), [&](auto numbers) {
                 pairs = hn::Add(pairs, hn::SatWidenMulPairwiseAdd(d16, numbers, hn::LoadU(d8, a)));
                 a += 16;
               });
               whole = hn::Add(whole, hn::WidenMulPairwiseAdd(d32, pairs, ones));
             }
             return hn::MulAdd(hn::ConvertTo(d, whole), hn::Set(d, scale * row_scales[i]), sum);
           });
}

template <int kBits>
void float_dots_of(const NBitsMatrix& b, const float* prepared, const float* totals, const float* bias, int64_t first,
                   int64_t last, float* dst) {
  const int64_t bytes = b.block * kBits / 8;
  if (bytes == 4) return float_dots<kBits, 4>(b, prepared, totals, bias, first, last, dst);
  if (bytes == 8) return float_dots<kBits, 8>(b, prepared, totals, bias, first, last, dst);
  float_dots<kBits, 16>(b, prepared, totals, bias, first, last, dst);
}

// dst[i] = (q[i] - zero) * scale.
HWY_NOINLINE void scale_bytes(const uint8_t* q, int64_t count, float zero, float scale, float* dst) {
  using D = hn::CappedTag<float, 16>;
  const D d;
  const hn::Rebind<int32_t, D> d32;
  const hn::Rebind<uint8_t, D> d8;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));
  const auto less = hn::Set(d, zero), factor = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::Mul(hn::Sub(hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, q + i))), less), factor), d, dst + i);
  for (; i < count; ++i) dst[i] = (static_cast<float>(q[i]) - zero) * scale;
}

// One block of 4 or 8 bits as floats; `count` of its numbers are wanted.
void Block(const uint8_t* q, int64_t bits, int64_t count, float zero, float scale, float* dst) {
  if (bits == 8) return scale_bytes(q, count, zero, scale, dst);
  const hn::FixedTag<uint8_t, 16> d8;
  HWY_ALIGN uint8_t numbers[32];
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const auto both = hn::LoadU(d8, q + i / 2);
    const auto low = hn::And(both, hn::Set(d8, uint8_t{15})), high = hn::ShiftRight<4>(both);
    hn::Store(hn::InterleaveLower(d8, low, high), d8, numbers);
    hn::Store(hn::InterleaveUpper(d8, low, high), d8, numbers + 16);
    scale_bytes(numbers, 32, zero, scale, dst + i);
  }
  for (; i < count; ++i) {
    const int number = i % 2 == 0 ? q[i / 2] & 15 : q[i / 2] >> 4;
    dst[i] = (static_cast<float>(number) - zero) * scale;
  }
}

void FloatDots(const NBitsMatrix& b, const float* prepared, const float* totals, const float* bias, int64_t first,
               int64_t last, float* dst) {
  if (b.bits == 2) return float_dots_of<2>(b, prepared, totals, bias, first, last, dst);
  if (b.bits == 4) return float_dots_of<4>(b, prepared, totals, bias, first, last, dst);
  float_dots_of<8>(b, prepared, totals, bias, first, last, dst);
}

void ByteDots(const NBitsMatrix& b, const int8_t* prepared, const float* row_scales, const float* totals,
              const float* bias, int64_t first, int64_t last, float* dst) {
  if (b.bits == 2) return byte_dots<2>(b, prepared, row_scales, totals, bias, first, last, dst);
  byte_dots<4>(b, prepared, row_scales, totals, bias, first, last, dst);
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(FloatDots);
HWY_EXPORT(ByteDots);
HWY_EXPORT(Block);

void nbits_dequantize(const NBitsMatrix& b, int64_t row, float* dst) {
  const int64_t blocks = b.blocks(), bytes = b.block * b.bits / 8, parts = 8 / b.bits;
  const int mask = (1 << b.bits) - 1;
  const uint8_t* line = b.data + row * blocks * bytes;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t count = std::min(b.block, b.k - i * b.block);
    const uint8_t* q = line + i * bytes;
    float* to = dst + i * b.block;
    if (b.bits >= 4 && !b.groups) {
      HWY_DYNAMIC_DISPATCH(Block)(q, b.bits, count, b.zero(row, i), b.scales[row * blocks + i], to);
      continue;
    }
    for (int64_t p = 0; p < count; ++p) to[p] = static_cast<float>((q[p / parts] >> (p % parts * b.bits)) & mask);
    if (b.groups) continue;
    const float scale = b.scales[row * blocks + i], zero = b.zero(row, i);
    for (int64_t p = 0; p < count; ++p) to[p] = (to[p] - zero) * scale;
  }
  if (!b.groups) return;
  for (int64_t p = 0; p < b.k; ++p) {
    const int64_t group = b.groups[p];
    dst[p] = (dst[p] - b.zero(row, group)) * b.scales[row * blocks + group];
  }
}

NBitsRow::NBitsRow(int64_t k, int64_t bits, int64_t block, bool bytes)
    : k_(k), bits_(bits), block_(block), blocks_((k + block - 1) / block), bytes_(bytes && has_bytes(bits, block)) {}

bool NBitsRow::has_bytes(int64_t bits, int64_t block) { return bits <= 4 && block * bits >= 128; }

// The sums of the blocks, then the scales of rounded blocks, then the numbers.
size_t NBitsRow::prepared_bytes() const {
  const auto blocks = static_cast<size_t>(blocks_), items = static_cast<size_t>(blocks_ * block_);
  const size_t floats = blocks * (bytes_ ? 2 : 1) + (bytes_ ? 0 : items);
  return floats * sizeof(float) + (bytes_ ? items : 0);
}

void NBitsRow::prepare(const float* a, std::byte* dst) const {
  auto* const totals = reinterpret_cast<float*>(dst);
  float* const scales = totals + blocks_;
  float* reals = totals + blocks_;
  auto* bytes = reinterpret_cast<int8_t*>(scales + blocks_);
  const int64_t parts = 8 / bits_, together = std::min<int64_t>(16, block_ * bits_ / 8);
  for (int64_t i = 0; i < blocks_; ++i) {
    const int64_t count = std::min(block_, k_ - i * block_);
    const float* from = a + i * block_;
    float largest = 0, total = 0;
    for (int64_t p = 0; p < count; ++p) {
      largest = std::max(largest, std::fabs(from[p]));
      total += from[p];
    }
    const float inverse = largest > 0 ? 127 / largest : 0;
    float rounded_total = 0;
    // The first number of each byte that is taken apart together, then the second one, and so on.
    for (int64_t at = 0; at < block_; at += together * parts) {
      for (int64_t part = 0; part < parts; ++part) {
        for (int64_t byte = 0; byte < together; ++byte) {
          const int64_t p = at + byte * parts + part;
          const float value = p < count ? from[p] : 0;
          if (bytes_) {
            const float rounded = std::nearbyint(value * inverse);
            rounded_total += rounded;
            *bytes++ = static_cast<int8_t>(rounded);
          } else {
            *reals++ = value;
          }
        }
      }
    }
    totals[i] = bytes_ ? rounded_total * (largest / 127) : total;
    if (bytes_) scales[i] = largest / 127;
  }
}

void NBitsRow::dots(const NBitsMatrix& b, const std::byte* prepared, const float* bias, int64_t first, int64_t last,
                    float* dst) const {
  const auto* const totals = reinterpret_cast<const float*>(prepared);
  const float* const next = totals + blocks_;
  if (!bytes_) {
    HWY_DYNAMIC_DISPATCH(FloatDots)(b, next, totals, bias, first, last, dst);
    return;
  }
  const auto* const bytes = reinterpret_cast<const int8_t*>(next + blocks_);
  HWY_DYNAMIC_DISPATCH(ByteDots)(b, bytes, next, totals, bias, first, last, dst);
}

}  // namespace fastort::kernels
#endif
