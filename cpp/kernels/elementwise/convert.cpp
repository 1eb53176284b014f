#include "kernels/elementwise/convert.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"

namespace fastort::kernels {
namespace {

using ConvertFn = void (*)(const void*, void*, int64_t);
constexpr int64_t kBlock = 512;

template <class D, class S>
D to(S x) {
  if constexpr (std::is_same_v<D, bool>) {
    return x != S{0};
  } else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D>) {
    if constexpr (sizeof(D) < 4 || std::is_same_v<D, int32_t>) {
      const bool fits = x >= S(-2147483648.0) && x < S(2147483648.0);
      return static_cast<D>(fits ? static_cast<int32_t>(x) : std::numeric_limits<int32_t>::min());
    } else {
      constexpr S kLimit = S(9223372036854775808.0);
      if constexpr (std::is_same_v<D, uint64_t>)
        if (x >= kLimit && x < kLimit * 2) return static_cast<uint64_t>(x);
      const bool fits = x >= -kLimit && x < kLimit;
      return static_cast<D>(fits ? static_cast<int64_t>(x) : std::numeric_limits<int64_t>::min());
    }
  } else {
    return static_cast<D>(x);
  }
}

template <class S, class D>
void native(const void* src, void* dst, int64_t n) {
  using Stored = std::conditional_t<std::is_same_v<S, bool>, uint8_t, S>;
  const Stored* x = static_cast<const Stored*>(src);
  D* y = static_cast<D*>(dst);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<S, bool>)
      y[i] = static_cast<D>(x[i] != 0);
    else
      y[i] = to<D>(x[i]);
  }
}

template <class F>
auto dispatch_native(DataType type, F&& f) {
  return dispatch(Joined<TypeList<float, double, bool>, IntList>{}, type, f);
}

template <class S>
ConvertFn native_from(DataType to_type) {
  return dispatch_native(to_type, [](auto tag) -> ConvertFn { return native<S, typename decltype(tag)::type>; });
}

ConvertFn find_native(DataType from, DataType to_type) {
  return dispatch_native(from, [&](auto tag) { return native_from<typename decltype(tag)::type>(to_type); });
}

// Rounds to float so that a second rounding to fewer bits gives what one rounding would: to odd.
float round_to_odd(double x) {
  const float y = static_cast<float>(x);
  if (static_cast<double>(y) == x || !std::isfinite(x)) return y;
  const uint32_t bits = std::bit_cast<uint32_t>(y);
  if (bits & 1) return y;
  const bool away = std::abs(static_cast<double>(y)) > std::abs(x);
  return std::bit_cast<float>(away ? bits - 1 : bits + 1);
}

template <class S>
void odd_from(const void* src, void* dst, int64_t n) {
  const S* x = static_cast<const S*>(src);
  float* y = static_cast<float*>(dst);
  for (int64_t i = 0; i < n; ++i) y[i] = round_to_odd(static_cast<double>(x[i]));
}

template <class H>
void widen_half(const void* src, void* dst, int64_t n) {
  widen(static_cast<const H*>(src), static_cast<float*>(dst), n);
}

const std::array<float, 256>& decode_table(DataType type) {
  static const auto tables = [] {
    std::array<std::array<float, 256>, kDataTypes> all{};
    for (int t = 0; t < kDataTypes; ++t) {
      const SmallFloat* kind = small_float(static_cast<DataType>(t));
      for (int i = 0; i < 256; ++i) {
        const uint8_t bits = static_cast<uint8_t>(i);
        float& value = all[static_cast<size_t>(t)][static_cast<size_t>(i)];
        if (kind) value = decode(*kind, bits);
        if (t == static_cast<int>(DataType::Float8E8M0)) value = decode_scale(bits);
        if (t == static_cast<int>(DataType::UInt4)) value = static_cast<float>(i & 15);
        if (t == static_cast<int>(DataType::Int4)) value = static_cast<float>(((i & 15) ^ 8) - 8);
        if (t == static_cast<int>(DataType::UInt2)) value = static_cast<float>(i & 3);
        if (t == static_cast<int>(DataType::Int2)) value = static_cast<float>(((i & 3) ^ 2) - 2);
      }
    }
    return all;
  }();
  return tables[static_cast<size_t>(type)];
}

template <DataType type>
struct LookUp {
  static void run(const void* src, void* dst, int64_t n) {
    const std::array<float, 256>& table = decode_table(type);
    const uint8_t* x = static_cast<const uint8_t*>(src);
    float* y = static_cast<float*>(dst);
    for (int64_t i = 0; i < n; ++i) y[i] = table[x[i]];
  }
};

template <DataType type>
struct LookUpInt32 {
  static void run(const void* src, void* dst, int64_t n) {
    const std::array<float, 256>& table = decode_table(type);
    const uint8_t* x = static_cast<const uint8_t*>(src);
    int32_t* y = static_cast<int32_t*>(dst);
    for (int64_t i = 0; i < n; ++i) y[i] = to<int32_t>(table[x[i]]);
  }
};

template <template <DataType> class Way, DataType... types>
ConvertFn find_of(DataType type) {
  ConvertFn fn = nullptr;
  (void)((type == types && (fn = Way<types>::run, true)) || ...);
  return fn;
}

// For the kinds whose elements are codes of at most a byte.
template <template <DataType> class Way>
ConvertFn find_by_byte(DataType type) {
  return find_of<Way, DataType::Float8E4M3FN, DataType::Float8E4M3FNUZ, DataType::Float8E5M2, DataType::Float8E5M2FNUZ,
                 DataType::Float8E8M0, DataType::Float6E2M3, DataType::Float6E3M2, DataType::Float4E2M1,
                 DataType::UInt4, DataType::Int4, DataType::UInt2, DataType::Int2>(type);
}

// Types that are read as float.
ConvertFn find_widening(DataType from) {
  switch (from) {
    case DataType::Float16:
      return widen_half<Float16>;
    case DataType::BFloat16:
      return widen_half<BFloat16>;
    default:
      return find_by_byte<LookUp>(from);
  }
}

// Floats of few bits out of float.
template <class H>
void narrow_half(const void* src, void* dst, int64_t n, const SmallFloat*, const ConvertOptions&) {
  narrow(static_cast<const float*>(src), static_cast<H*>(dst), n);
}

void encode_all(const void* src, void* dst, int64_t n, const SmallFloat* kind, const ConvertOptions& options) {
  const float* x = static_cast<const float*>(src);
  uint8_t* y = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; ++i) y[i] = encode(*kind, x[i], options.saturate);
}

void encode_scales(const void* src, void* dst, int64_t n, const SmallFloat*, const ConvertOptions& options) {
  const float* x = static_cast<const float*>(src);
  uint8_t* y = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; ++i) y[i] = encode_scale(x[i], options.saturate, options.rounding);
}

// Integers of few bits out of int32: the low bits, the sign repeated above them.
template <int bits, bool is_signed>
void cut(const void* src, void* dst, int64_t n, const SmallFloat*, const ConvertOptions&) {
  constexpr int kMask = (1 << bits) - 1, kSign = is_signed ? 1 << (bits - 1) : 0;
  const int32_t* x = static_cast<const int32_t*>(src);
  uint8_t* y = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<uint8_t>(((x[i] & kMask) ^ kSign) - kSign);
}

bool is_small_int(DataType type) {
  return type == DataType::Int4 || type == DataType::UInt4 || type == DataType::Int2 || type == DataType::UInt2;
}

// Types that have no direct way to int32.
ConvertFn find_to_int32(DataType from) {
  switch (from) {
    case DataType::Float16:
      return [](const void* src, void* dst, int64_t n) {
        float block[kBlock];
        widen(static_cast<const Float16*>(src), block, n);
        native<float, int32_t>(block, dst, n);
      };
    case DataType::BFloat16:
      return [](const void* src, void* dst, int64_t n) {
        float block[kBlock];
        widen(static_cast<const BFloat16*>(src), block, n);
        native<float, int32_t>(block, dst, n);
      };
    default:
      if (ConvertFn fn = find_by_byte<LookUpInt32>(from)) return fn;
      return find_native(from, DataType::Int32);
  }
}

// Numbers to float, rounded so that a second rounding is harmless.
ConvertFn find_to_float(DataType from) {
  switch (from) {
    case DataType::Double:
      return odd_from<double>;
    case DataType::Int32:
      return odd_from<int32_t>;
    case DataType::UInt32:
      return odd_from<uint32_t>;
    case DataType::Int64:
      return odd_from<int64_t>;
    case DataType::UInt64:
      return odd_from<uint64_t>;
    default:
      break;
  }
  if (ConvertFn fn = find_widening(from)) return fn;
  return find_native(from, DataType::Float);
}

template <class D>
void from_float(const void* src, void* dst, int64_t n, const SmallFloat*, const ConvertOptions&) {
  native<float, D>(src, dst, n);
}

}  // namespace

std::optional<Convert> Convert::find(DataType from, DataType to_type, ConvertOptions options) {
  Convert convert;
  convert.from_item_ = element_size(from);
  convert.to_item_ = element_size(to_type);
  convert.options_ = options;
  convert.kind_ = small_float(to_type);
  if ((convert.first_ = find_native(from, to_type))) return convert;
  const ConvertFn widening = find_widening(from);
  if (is_small_int(to_type)) {
    convert.first_ = find_to_int32(from);
    if (to_type == DataType::Int4) convert.second_ = cut<4, true>;
    if (to_type == DataType::UInt4) convert.second_ = cut<4, false>;
    if (to_type == DataType::Int2) convert.second_ = cut<2, true>;
    if (to_type == DataType::UInt2) convert.second_ = cut<2, false>;
    return convert.first_ ? std::optional(convert) : std::nullopt;
  }
  if (to_type == DataType::Float && widening) {
    convert.first_ = widening;
    return convert;
  }
  convert.first_ = find_to_float(from);
  if (!convert.first_) return std::nullopt;
  if (to_type == DataType::Float16)
    convert.second_ = narrow_half<Float16>;
  else if (to_type == DataType::BFloat16)
    convert.second_ = narrow_half<BFloat16>;
  else if (to_type == DataType::Float8E8M0)
    convert.second_ = encode_scales;
  else if (convert.kind_)
    convert.second_ = encode_all;
  else
    convert.second_ =
        dispatch_native(to_type, [](auto tag) -> LastFn { return from_float<typename decltype(tag)::type>; });
  if (!convert.second_) return std::nullopt;
  if (from == DataType::Float) convert.first_ = nullptr;
  return convert;
}

void Convert::operator()(const void* src, void* dst, int64_t n) const {
  if (!second_) return first_(src, dst, n);
  if (!first_) return second_(src, dst, n, kind_, options_);
  alignas(64) int32_t block[kBlock];
  const std::byte* x = static_cast<const std::byte*>(src);
  std::byte* y = static_cast<std::byte*>(dst);
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = std::min(kBlock, n - i);
    first_(x + i * static_cast<int64_t>(from_item_), block, count);
    second_(block, y + i * static_cast<int64_t>(to_item_), count, kind_, options_);
  }
}

}  // namespace fastort::kernels
