#include "tensor/data_type.h"

#include <string>

namespace fastort {
namespace {

enum class Kind : uint8_t { Other, Integer, Float };

struct TypeRow {
  std::string_view name;
  size_t bytes;  // of one element in memory
  int bits;      // of one element in a file
  Kind kind;
};

constexpr TypeRow kTypes[kDataTypes] = {
    {"undefined", 0, 0, Kind::Other},
    {"float", 4, 32, Kind::Float},
    {"uint8", 1, 8, Kind::Integer},
    {"int8", 1, 8, Kind::Integer},
    {"uint16", 2, 16, Kind::Integer},
    {"int16", 2, 16, Kind::Integer},
    {"int32", 4, 32, Kind::Integer},
    {"int64", 8, 64, Kind::Integer},
    {"string", sizeof(std::string), 0, Kind::Other},
    {"bool", 1, 8, Kind::Other},
    {"float16", 2, 16, Kind::Float},
    {"double", 8, 64, Kind::Float},
    {"uint32", 4, 32, Kind::Integer},
    {"uint64", 8, 64, Kind::Integer},
    {"complex64", 8, 64, Kind::Other},
    {"complex128", 16, 128, Kind::Other},
    {"bfloat16", 2, 16, Kind::Float},
    {"float8e4m3fn", 1, 8, Kind::Float},
    {"float8e4m3fnuz", 1, 8, Kind::Float},
    {"float8e5m2", 1, 8, Kind::Float},
    {"float8e5m2fnuz", 1, 8, Kind::Float},
    {"uint4", 1, 4, Kind::Integer},
    {"int4", 1, 4, Kind::Integer},
    {"float4e2m1", 1, 4, Kind::Float},
    {"float8e8m0", 1, 8, Kind::Float},
    {"uint2", 1, 2, Kind::Integer},
    {"int2", 1, 2, Kind::Integer},
    {"float6e2m3", 1, 6, Kind::Float},
    {"float6e3m2", 1, 6, Kind::Float},
};

const TypeRow& row(DataType type) noexcept {
  const auto index = static_cast<size_t>(type);
  return kTypes[index < kDataTypes ? index : 0];
}

}  // namespace

size_t element_size(DataType type) noexcept { return row(type).bytes; }
int packed_bits(DataType type) noexcept { return row(type).bits; }
std::string_view name(DataType type) noexcept { return row(type).name; }
bool is_integer(DataType type) noexcept { return row(type).kind == Kind::Integer; }
bool is_float(DataType type) noexcept { return row(type).kind == Kind::Float; }

float to_float(Float16 value) noexcept {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t exponent = (value.bits >> 10) & 31u;
  const uint32_t fraction = value.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

Float16 to_float16(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  const auto with_sign = [sign](uint32_t half) { return Float16{static_cast<uint16_t>(sign | half)}; };
  if (magnitude > 0x7f800000u) return with_sign(0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return with_sign(0x7c00u);  // 65520 rounds to infinity
  if (magnitude < 0x38800000u) {
    // Below the smallest normal half. The last bit of 0.5f is worth 2^-24, a half's smallest step: the sum rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return with_sign(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f));
  }
  magnitude += 0xfffu + ((magnitude >> 13) & 1u);
  return with_sign((magnitude - 0x38000000u) >> 13);
}

BFloat16 to_bfloat16(float value) noexcept {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace fastort
