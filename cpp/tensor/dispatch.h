#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "tensor/data_type.h"

namespace fastort {

template <>
struct DataTypeOf<std::string> {
  static constexpr DataType value = DataType::String;
};
template <>
struct DataTypeOf<std::complex<float>> {
  static constexpr DataType value = DataType::Complex64;
};
template <>
struct DataTypeOf<std::complex<double>> {
  static constexpr DataType value = DataType::Complex128;
};

// C++ types of elements, for the functions below.
template <class... T>
struct TypeList {};

template <class... Lists>
struct JoinedTypes;
template <class... T>
struct JoinedTypes<TypeList<T...>> {
  using type = TypeList<T...>;
};
template <class... A, class... B, class... Rest>
struct JoinedTypes<TypeList<A...>, TypeList<B...>, Rest...> : JoinedTypes<TypeList<A..., B...>, Rest...> {};
template <class... Lists>
using Joined = typename JoinedTypes<Lists...>::type;

using FloatList = TypeList<float, double, Float16, BFloat16>;
using IntList = TypeList<int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t>;
using ComplexList = TypeList<std::complex<float>, std::complex<double>>;
using NumberList = Joined<FloatList, IntList>;
using RealList = Joined<NumberList, TypeList<bool>>;

// Throws NotImplemented: "`what` of int4 elements".
[[noreturn]] void refuse_type(std::string_view what, DataType type);

// Calls f(std::type_identity<T>{}) for the T of the list that `type` names. `what` says in the refusal of any other
// type what it is wanted for.
template <class First, class... Rest, class F>
decltype(auto) with_type(TypeList<First, Rest...>, std::string_view what, DataType type, F&& f) {
  if constexpr (sizeof...(Rest) > 0) {
    if (type != kDataTypeOf<First>) return with_type(TypeList<Rest...>{}, what, type, f);
  } else {
    if (type != kDataTypeOf<First>) refuse_type(what, type);
  }
  return f(std::type_identity<First>{});
}

// The same, with a default result for a type that is not in the list.
template <class... T, class F>
auto dispatch(TypeList<T...>, DataType type, F&& f) {
  using R = std::common_type_t<decltype(f(std::type_identity<T>{}))...>;
  R result{};
  (void)((type == kDataTypeOf<T> && (result = f(std::type_identity<T>{}), true)) || ...);
  return result;
}

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;

template <class T>
inline constexpr bool kIsComplex = std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>;

// The type in which one computes with elements of type T: float for the halves.
template <class T>
using Arithmetic = std::conditional_t<kIsHalf<T>, float, T>;

template <class T>
Arithmetic<T> widened(T value) {
  if constexpr (kIsHalf<T>) {
    return to_float(value);
  } else {
    return value;
  }
}

// To the nearest element.
template <class T>
T rounded(Arithmetic<T> value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return to_float16(value);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(value);
  } else {
    return value;
  }
}

}  // namespace fastort
