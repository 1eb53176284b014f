#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/elementwise/binary_loops.h"
#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"

namespace fastort::kernels {
namespace {

template <class T>
BinaryFns wrapping(BinaryOp op) {
  using W = WrapType<T>;
  switch (op) {
    case BinaryOp::Add:
      return binary_loops<T, T>([](T a, T b) { return static_cast<T>(W{a} + W{b}); });
    case BinaryOp::Sub:
      return binary_loops<T, T>([](T a, T b) { return static_cast<T>(W{a} - W{b}); });
    case BinaryOp::Mul:
      return binary_loops<T, T>([](T a, T b) { return static_cast<T>(W{a} * W{b}); });
    case BinaryOp::BitAnd:
      return binary_loops<T, T>([](T a, T b) { return static_cast<T>(a & b); });
    case BinaryOp::BitOr:
      return binary_loops<T, T>([](T a, T b) { return static_cast<T>(a | b); });
    case BinaryOp::BitXor:
      return binary_loops<T, T>([](T a, T b) { return static_cast<T>(a ^ b); });
    default:
      return {};
  }
}

template <class T>
T divide(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(WrapType<T>{0} - static_cast<WrapType<T>>(a));
  }
  return static_cast<T>(a / b);
}

template <class T>
T mod_trunc(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
  }
  return static_cast<T>(a % b);
}

template <class T>
T mod_floor(T a, T b) {
  const T r = mod_trunc(a, b);
  return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
}

// The remainder of real division takes the sign of b, its zero too.
template <class T>
T mod_floor_real(T a, T b) {
  const T r = std::fmod(a, b);
  if (r == 0) return std::copysign(T(0), b);
  return (r < 0) != (b < 0) ? r + b : r;
}

template <class T>
constexpr int kBits = static_cast<int>(sizeof(T) * 8);

template <class T>
bool shifts_out(T amount) {
  return amount < 0 || static_cast<uint64_t>(amount) >= static_cast<uint64_t>(kBits<T>);
}

template <class T>
T shift_left(T a, T amount) {
  return shifts_out(amount) ? T{0} : static_cast<T>(static_cast<WrapType<T>>(a) << static_cast<int>(amount));
}

template <class T>
T shift_right(T a, T amount) {
  if (shifts_out(amount)) return a < 0 ? static_cast<T>(-1) : T{0};
  return static_cast<T>(a >> static_cast<int>(amount));
}

template <class T>
T int_pow(T base, int64_t exponent) {
  using W = WrapType<T>;
  if (exponent < 0) {
    if (base == 1) return 1;
    if constexpr (std::is_signed_v<T>) {
      if (base == -1) return exponent % 2 ? T(-1) : T(1);
    }
    return 0;
  }
  W result = 1, power = static_cast<W>(base);
  for (uint64_t e = static_cast<uint64_t>(exponent); e; e >>= 1) {
    if (e & 1) result *= power;
    power *= power;
  }
  return static_cast<T>(result);
}

template <class T>
BinaryFns integer(BinaryOp op) {
  switch (op) {
    case BinaryOp::Div:
      return binary_loops<T, T>([](T a, T b) { return divide(a, b); });
    case BinaryOp::Max:
      return binary_loops<T, T>([](T a, T b) { return a > b ? a : b; });
    case BinaryOp::Min:
      return binary_loops<T, T>([](T a, T b) { return a < b ? a : b; });
    case BinaryOp::PRelu:
      return binary_loops<T, T>([](T a, T b) {
        return a < 0 ? static_cast<T>(static_cast<WrapType<T>>(a) * static_cast<WrapType<T>>(b)) : a;
      });
    case BinaryOp::ModFloor:
      return binary_loops<T, T>([](T a, T b) { return mod_floor(a, b); });
    case BinaryOp::ModTrunc:
      return binary_loops<T, T>([](T a, T b) { return mod_trunc(a, b); });
    case BinaryOp::ShiftLeft:
      return binary_loops<T, T>([](T a, T b) { return shift_left(a, b); });
    case BinaryOp::ShiftRight:
      return binary_loops<T, T>([](T a, T b) { return shift_right(a, b); });
    case BinaryOp::Pow:
      return binary_loops<T, T>([](T a, T b) { return int_pow(a, static_cast<int64_t>(b)); });
    default:
      return wrapping<std::make_unsigned_t<T>>(op);
  }
}

// One exponent for all: the common ones need no logarithm.
template <class T>
void pow_scalar(const void* a, const void* b, void* dst, int64_t n) {
  const T* x = static_cast<const T*>(a);
  const T y = *static_cast<const T*>(b);
  T* z = static_cast<T*>(dst);
  auto map = [&](auto f) {
    for (int64_t i = 0; i < n; ++i) z[i] = f(x[i]);
  };
  if (y == T(2)) return map([](T v) { return v * v; });
  if (y == T(3)) return map([](T v) { return v * v * v; });
  if (y == T(1)) return map([](T v) { return v; });
  if (y == T(-1)) return map([](T v) { return T(1) / v; });
  if (y == T(0.5))  // pow has +0 for -0 and infinity for -infinity
    return map([](T v) { return v == -std::numeric_limits<T>::infinity() ? -v : std::sqrt(v + T(0)); });
  map([y](T v) { return std::pow(v, y); });
}

template <class T>
BinaryFns real(BinaryOp op) {
  switch (op) {
    case BinaryOp::Add:
      return binary_loops<T, T>([](T a, T b) { return a + b; });
    case BinaryOp::Sub:
      return binary_loops<T, T>([](T a, T b) { return a - b; });
    case BinaryOp::Mul:
      return binary_loops<T, T>([](T a, T b) { return a * b; });
    case BinaryOp::Div:
      return binary_loops<T, T>([](T a, T b) { return a / b; });
    case BinaryOp::Max:
      return binary_loops<T, T>([](T a, T b) { return a > b || a != a ? a : b; });
    case BinaryOp::Min:
      return binary_loops<T, T>([](T a, T b) { return a < b || a != a ? a : b; });
    case BinaryOp::PRelu:
      return binary_loops<T, T>([](T a, T b) { return a < 0 ? a * b : a; });
    case BinaryOp::ModFloor:
      return binary_loops<T, T>([](T a, T b) { return mod_floor_real(a, b); });
    case BinaryOp::ModTrunc:
      return binary_loops<T, T>([](T a, T b) { return std::fmod(a, b); });
    case BinaryOp::Pow: {
      BinaryFns fns = binary_loops<T, T>([](T a, T b) { return std::pow(a, b); });
      fns.vs = pow_scalar<T>;
      return fns;
    }
    default:
      return {};
  }
}

BinaryFns boolean(BinaryOp op) {
  switch (op) {
    case BinaryOp::And:
      return binary_loops<uint8_t, bool>([](uint8_t a, uint8_t b) { return a && b; });
    case BinaryOp::Or:
      return binary_loops<uint8_t, bool>([](uint8_t a, uint8_t b) { return a || b; });
    case BinaryOp::Xor:
      return binary_loops<uint8_t, bool>([](uint8_t a, uint8_t b) { return !a != !b; });
    default:
      return {};
  }
}

// Exponents as the number type that `base` is raised by.
template <class N>
void read_exponents(DataType type, const void* src, int64_t n, N* dst) {
  if (type == DataType::Float16 || type == DataType::BFloat16) {
    float block[kHalfBlock];
    widen(type, src, block, n);
    for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<N>(block[i]);
    return;
  }
  dispatch(Joined<TypeList<float, double>, IntList>{}, type, [&](auto tag) {
    const auto* x = static_cast<const typename decltype(tag)::type*>(src);
    for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<N>(x[i]);
    return true;
  });
}

template <class T>
T from_double(double y) {
  if constexpr (std::is_integral_v<T>) {
    constexpr double kLimit = sizeof(T) == 4 ? 2147483648.0 : 9223372036854775808.0;
    return y >= -kLimit && y < kLimit ? static_cast<T>(y) : std::numeric_limits<T>::min();
  } else {
    return static_cast<T>(y);
  }
}

template <class T>
void pow_block(const T* base, int64_t base_step, DataType type, const void* exponent, int64_t exponent_step, T* dst,
               int64_t n) {
  const bool integer_exponent =
      type != DataType::Float && type != DataType::Double && type != DataType::Float16 && type != DataType::BFloat16;
  const int64_t exponents = exponent_step ? n : 1;
  if (std::is_integral_v<T> && integer_exponent) {
    if constexpr (std::is_integral_v<T>) {
      int64_t e[kHalfBlock];
      read_exponents(type, exponent, exponents, e);
      for (int64_t i = 0; i < n; ++i) dst[i] = int_pow(base[i * base_step], e[i * exponent_step]);
    }
    return;
  }
  double e[kHalfBlock];
  read_exponents(type, exponent, exponents, e);
  if (!exponent_step && e[0] == 2.0 && !std::is_integral_v<T>) {
    for (int64_t i = 0; i < n; ++i) dst[i] = base[i * base_step] * base[i * base_step];
    return;
  }
  for (int64_t i = 0; i < n; ++i)
    dst[i] = from_double<T>(std::pow(static_cast<double>(base[i * base_step]), e[i * exponent_step]));
}

template <class T>
void pow_blocks(const void* base, int64_t base_step, DataType type, const void* exponent, int64_t exponent_step,
                void* dst, int64_t n) {
  const std::byte* e = static_cast<const std::byte*>(exponent);
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t count = std::min(kHalfBlock, n - i);
    const std::byte* at = e + i * exponent_step * static_cast<int64_t>(element_size(type));
    const T* from = static_cast<const T*>(base) + i * base_step;
    T* to = static_cast<T*>(dst) + i;
    if constexpr (kIsHalf<T>) {
      float block[kHalfBlock];
      widen(from, block, base_step ? count : 1);
      float result[kHalfBlock];
      pow_block<float>(block, base_step, type, at, exponent_step, result, count);
      narrow(result, to, count);
    } else {
      pow_block<T>(from, base_step, type, at, exponent_step, to, count);
    }
  }
}

}  // namespace

BinaryFns scalar_binary(BinaryOp op, DataType type) {
  if (type == DataType::Float) return real<float>(op);
  if (type == DataType::Double) return real<double>(op);
  if (type == DataType::Bool) return boolean(op);
  return dispatch_int(type, [&](auto tag) { return integer<typename decltype(tag)::type>(op); });
}

PowFn mixed_pow(DataType base) {
  return dispatch(Joined<FloatList, TypeList<int32_t, int64_t>>{}, base,
                  [](auto tag) -> PowFn { return pow_blocks<typename decltype(tag)::type>; });
}

std::optional<Binary> Binary::find(BinaryOp op, DataType type) {
  const bool half = type == DataType::Float16 || type == DataType::BFloat16;
  const DataType compute = half ? DataType::Float : type;
  BinaryFns fns;
  if (is_comparison(op))
    fns = comparison(op, compute);
  else if (compute == DataType::Float)
    fns = vector_binary_f32(op);
  if (!fns.vv) fns = scalar_binary(op, compute);
  if (!fns.vv) return std::nullopt;
  return Binary(op, type, fns);
}

void Binary::repeat(const void* a, const void* b, void* dst, int64_t n) const {
  const size_t item = is_comparison(op_) ? 1 : element_size(type_);
  fn(false, false)(a, b, dst, 1);
  for (int64_t i = 1; i < n; ++i)
    std::copy_n(static_cast<const std::byte*>(dst), item,
                static_cast<std::byte*>(dst) + i * static_cast<int64_t>(item));
}

void Binary::run_half(bool a_vector, bool b_vector, const void* a, const void* b, void* dst, int64_t n) const {
  const BinaryFn compute = fn(a_vector, b_vector);
  float x[kHalfBlock], y[kHalfBlock];
  bool flags[kHalfBlock];
  const uint16_t* from_a = static_cast<const uint16_t*>(a);
  const uint16_t* from_b = static_cast<const uint16_t*>(b);
  if (!a_vector) {
    widen(type_, a, x, 1);
    if (!b_vector) std::fill_n(x + 1, kHalfBlock - 1, x[0]);
  }
  if (!b_vector) widen(type_, b, y, 1);
  float z[kHalfBlock];
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t count = std::min(kHalfBlock, n - i);
    if (a_vector) widen(type_, from_a + i, x, count);
    if (b_vector) widen(type_, from_b + i, y, count);
    if (is_comparison(op_)) {
      compute(x, y, flags, count);
      std::copy_n(flags, count, static_cast<bool*>(dst) + i);
    } else {
      compute(x, y, z, count);
      narrow(type_, z, static_cast<uint16_t*>(dst) + i, count);
    }
  }
}

}  // namespace fastort::kernels
