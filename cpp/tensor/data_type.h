#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fastort {

// The values are those of onnx's TensorProto.DataType.
enum class DataType : uint8_t {
  Undefined = 0,
  Float = 1,
  UInt8 = 2,
  Int8 = 3,
  UInt16 = 4,
  Int16 = 5,
  Int32 = 6,
  Int64 = 7,
  String = 8,
  Bool = 9,
  Float16 = 10,
  Double = 11,
  UInt32 = 12,
  UInt64 = 13,
  Complex64 = 14,
  Complex128 = 15,
  BFloat16 = 16,
  Float8E4M3FN = 17,
  Float8E4M3FNUZ = 18,
  Float8E5M2 = 19,
  Float8E5M2FNUZ = 20,
  UInt4 = 21,
  Int4 = 22,
  Float4E2M1 = 23,
  Float8E8M0 = 24,
  UInt2 = 25,
  Int2 = 26,
  Float6E2M3 = 27,
  Float6E3M2 = 28,
};
inline constexpr int kDataTypes = 29;

// Bytes of one element in memory. Types narrower than a byte are held one to a byte (as `ml_dtypes` holds them) and
// packed only in files; a string is a `std::string`.
size_t element_size(DataType type) noexcept;

// Bits of one element as ONNX packs it in a file (4 for int4); 0 for strings.
int packed_bits(DataType type) noexcept;

// "float", "int64": ONNX's spelling inside `tensor(...)`.
std::string_view name(DataType type) noexcept;

bool is_integer(DataType type) noexcept;  // signed or unsigned, not bool
bool is_float(DataType type) noexcept;    // any real floating-point kind, down to float4

// A set of types, for tables.
class TypeMask {
 public:
  constexpr TypeMask() = default;
  template <class... T>
  constexpr explicit TypeMask(T... types) : bits_(((1u << static_cast<int>(types)) | ...)) {}
  constexpr bool has(DataType type) const { return (bits_ >> static_cast<int>(type)) & 1u; }
  constexpr TypeMask operator|(TypeMask other) const { return from_bits(bits_ | other.bits_); }
  static constexpr TypeMask from_bits(uint32_t bits) {
    TypeMask mask;
    mask.bits_ = bits;
    return mask;
  }

 private:
  uint32_t bits_ = 0;
};

inline constexpr TypeMask kFloat32{DataType::Float};
inline constexpr TypeMask kFloatTypes{DataType::Float, DataType::Double, DataType::Float16, DataType::BFloat16};
inline constexpr TypeMask kIntTypes{DataType::Int8,  DataType::Int16,  DataType::Int32,  DataType::Int64,
                                    DataType::UInt8, DataType::UInt16, DataType::UInt32, DataType::UInt64};
inline constexpr TypeMask kNumericTypes = kFloatTypes | kIntTypes;
inline constexpr TypeMask kAllTypes = TypeMask::from_bits(0xfffffffeu);

struct Float16 {
  uint16_t bits = 0;
};
struct BFloat16 {
  uint16_t bits = 0;
};

float to_float(Float16 value) noexcept;
Float16 to_float16(float value) noexcept;  // round to nearest even; overflow gives infinity
inline float to_float(BFloat16 value) noexcept { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
BFloat16 to_bfloat16(float value) noexcept;  // round to nearest even

template <class T>
struct DataTypeOf;
#define FASTORT_TYPE(T, E)                         \
  template <>                                      \
  struct DataTypeOf<T> {                           \
    static constexpr DataType value = DataType::E; \
  };
FASTORT_TYPE(float, Float)
FASTORT_TYPE(double, Double)
FASTORT_TYPE(uint8_t, UInt8)
FASTORT_TYPE(int8_t, Int8)
FASTORT_TYPE(uint16_t, UInt16)
FASTORT_TYPE(int16_t, Int16)
FASTORT_TYPE(uint32_t, UInt32)
FASTORT_TYPE(int32_t, Int32)
FASTORT_TYPE(uint64_t, UInt64)
FASTORT_TYPE(int64_t, Int64)
FASTORT_TYPE(bool, Bool)
FASTORT_TYPE(Float16, Float16)
FASTORT_TYPE(BFloat16, BFloat16)
#undef FASTORT_TYPE
template <class T>
inline constexpr DataType kDataTypeOf = DataTypeOf<T>::value;

}  // namespace fastort
