#include "kernels/elementwise/small_float.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace fastort::kernels {
namespace {

constexpr SmallFloat kE4M3FN{4, 3, 7, 0x7e, false, 0x7f, true};
constexpr SmallFloat kE4M3FNUZ{4, 3, 8, 0x7f, false, 0x80, false};
constexpr SmallFloat kE5M2{5, 2, 15, 0x7b, true, 0x7e, true};
constexpr SmallFloat kE5M2FNUZ{5, 2, 16, 0x7f, false, 0x80, false};
constexpr SmallFloat kE2M1{2, 1, 1, 0x07, false, 0, true};
constexpr SmallFloat kE2M3{2, 3, 1, 0x1f, false, 0, true};
constexpr SmallFloat kE3M2{3, 2, 3, 0x1f, false, 0, true};

constexpr uint8_t sign_bit(const SmallFloat& kind) {
  return static_cast<uint8_t>(1 << (kind.exponent_bits + kind.mantissa_bits));
}

}  // namespace

const SmallFloat* small_float(DataType type) {
  switch (type) {
    case DataType::Float8E4M3FN:
      return &kE4M3FN;
    case DataType::Float8E4M3FNUZ:
      return &kE4M3FNUZ;
    case DataType::Float8E5M2:
      return &kE5M2;
    case DataType::Float8E5M2FNUZ:
      return &kE5M2FNUZ;
    case DataType::Float4E2M1:
      return &kE2M1;
    case DataType::Float6E2M3:
      return &kE2M3;
    case DataType::Float6E3M2:
      return &kE3M2;
    default:
      return nullptr;
  }
}

float decode(const SmallFloat& kind, uint8_t bits) {
  const uint8_t sign = sign_bit(kind);
  const uint8_t magnitude = bits & static_cast<uint8_t>(sign - 1);
  const bool negative = bits & sign;
  if (!kind.signed_zero && bits == kind.nan) return std::numeric_limits<float>::quiet_NaN();
  float value;
  if (magnitude > kind.max) {
    value = kind.infinity && magnitude == kind.max + 1 ? std::numeric_limits<float>::infinity()
                                                       : std::numeric_limits<float>::quiet_NaN();
  } else {
    const int exponent = magnitude >> kind.mantissa_bits;
    const int mantissa = magnitude & ((1 << kind.mantissa_bits) - 1);
    const int full = exponent ? mantissa | 1 << kind.mantissa_bits : mantissa;
    value = std::ldexp(static_cast<float>(full), std::max(exponent, 1) - kind.bias - kind.mantissa_bits);
  }
  return negative ? -value : value;
}

uint8_t encode(const SmallFloat& kind, float value, bool saturate) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint8_t sign = bits >> 31 ? sign_bit(kind) : uint8_t{0};
  if (std::isnan(value)) {
    if (kind.nan == 0) return sign_bit(kind);  // float6 and float4 have no NaN: -0, as ml_dtypes has it
    return kind.signed_zero ? static_cast<uint8_t>(kind.nan | sign) : kind.nan;
  }
  auto out_of_range = [&]() -> uint8_t {
    if (saturate || kind.nan == 0) return kind.max | sign;
    if (kind.infinity) return static_cast<uint8_t>(kind.max + 1) | sign;
    return kind.signed_zero ? static_cast<uint8_t>(kind.nan | sign) : kind.nan;
  };
  const float magnitude = std::abs(value);
  if (std::isinf(magnitude)) return out_of_range();
  // The numbers of one binade are the multiples of 2^(exponent - mantissa bits).
  const int lowest = 1 - kind.bias;
  const int exponent = std::max(static_cast<int>((bits >> 23) & 0xff) - 127, lowest);
  const float steps = std::nearbyint(std::ldexp(magnitude, kind.mantissa_bits - exponent));
  const int code = static_cast<int>(steps) + ((exponent - lowest) << kind.mantissa_bits);
  if (code > kind.max) return out_of_range();
  if (code == 0 && !kind.signed_zero) return 0;
  return static_cast<uint8_t>(code) | sign;
}

float decode_scale(uint8_t bits) {
  return bits == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, static_cast<int>(bits) - 127);
}

uint8_t encode_scale(float value, bool saturate, ScaleRounding rounding) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t exponent = (bits >> 23) & 0xff, fraction = bits & 0x7fffff;
  if (exponent == 0xff) return fraction == 0 && saturate ? 0xfe : 0xff;
  bool up = false;
  if (rounding == ScaleRounding::Up) up = fraction != 0;
  if (rounding == ScaleRounding::Nearest) up = fraction > 0x400000 || (fraction == 0x400000 && exponent > 0);
  if (up && exponent == 0xfe) return saturate ? 0xfe : 0xff;
  return static_cast<uint8_t>(exponent + (up ? 1 : 0));
}

}  // namespace fastort::kernels
