#include <cmath>
#include <limits>

#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"
#include "kernels/elementwise/unary.h"
#include "kernels/elementwise/unary_tables.h"

namespace fastort::kernels {
namespace {

template <class T, class F>
void map(const void* src, void* dst, int64_t n, F f) {
  const T* x = static_cast<const T*>(src);
  T* y = static_cast<T*>(dst);
  for (int64_t i = 0; i < n; ++i) y[i] = f(x[i]);
}

#define FASTORT_MAP(EXPRESSION)                                                                  \
  return [](const void* src, void* dst, int64_t n, [[maybe_unused]] const UnaryParams& params) { \
    [[maybe_unused]] const T a = static_cast<T>(params.a);                                       \
    [[maybe_unused]] const T b = static_cast<T>(params.b);                                       \
    map<T>(src, dst, n, [=](T x) -> T { return EXPRESSION; });                                   \
  }

template <class T>
T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x < 0 ? e : T(1)) / (T(1) + e);
}

template <class T>
T tanh_softplus(T x) {
  const T e = std::exp(x > 40 ? T(40) : x);
  const T n = e * (e + 2);
  return n / (n + 2);
}

template <class T>
T clamp(T x, T low, T high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

template <class T>
UnaryFn trigonometric(UnaryOp op) {
  switch (op) {
    case UnaryOp::Sin:
      FASTORT_MAP(std::sin(x));
    case UnaryOp::Cos:
      FASTORT_MAP(std::cos(x));
    case UnaryOp::Tan:
      FASTORT_MAP(std::tan(x));
    case UnaryOp::Asin:
      FASTORT_MAP(std::asin(x));
    case UnaryOp::Acos:
      FASTORT_MAP(std::acos(x));
    case UnaryOp::Atan:
      FASTORT_MAP(std::atan(x));
    case UnaryOp::Sinh:
      FASTORT_MAP(std::sinh(x));
    case UnaryOp::Cosh:
      FASTORT_MAP(std::cosh(x));
    case UnaryOp::Asinh:
      FASTORT_MAP(std::asinh(x));
    case UnaryOp::Acosh:
      FASTORT_MAP(std::acosh(x));
    case UnaryOp::Atanh:
      FASTORT_MAP(std::atanh(x));
    default:
      return nullptr;
  }
}

UnaryFn double_unary(UnaryOp op) {
  using T = double;
  switch (op) {
    case UnaryOp::Abs:
      FASTORT_MAP(std::abs(x));
    case UnaryOp::Neg:
      FASTORT_MAP(-x);
    case UnaryOp::Ceil:
      FASTORT_MAP(std::ceil(x));
    case UnaryOp::Floor:
      FASTORT_MAP(std::floor(x));
    case UnaryOp::Round:
      FASTORT_MAP(std::nearbyint(x));
    case UnaryOp::Sqrt:
      FASTORT_MAP(std::sqrt(x));
    case UnaryOp::Reciprocal:
      FASTORT_MAP(1 / x);
    case UnaryOp::Sign:
      FASTORT_MAP(x > 0 ? 1 : x < 0 ? -1 : x);
    case UnaryOp::Square:
      FASTORT_MAP(x * x);
    case UnaryOp::Relu:
      FASTORT_MAP(x < 0 ? 0 : x);
    case UnaryOp::LeakyRelu:
      FASTORT_MAP(x < 0 ? a * x : x);
    case UnaryOp::ThresholdedRelu:
      FASTORT_MAP(x <= a ? 0 : x);
    case UnaryOp::HardSigmoid:
      FASTORT_MAP(clamp<T>(a * x + b, 0, 1));
    case UnaryOp::HardSwish:
      FASTORT_MAP(x * clamp<T>(x / 6 + 0.5, 0, 1));
    case UnaryOp::Softsign:
      FASTORT_MAP(x / (1 + std::abs(x)));
    case UnaryOp::Shrink:
      FASTORT_MAP(x < -a ? x + b : x > a ? x - b : 0);
    case UnaryOp::Clip:
      FASTORT_MAP(clamp<T>(x, a, b));
    case UnaryOp::Affine:
      FASTORT_MAP(a * x + b);
    case UnaryOp::Exp:
      FASTORT_MAP(std::exp(x));
    case UnaryOp::Log:
      FASTORT_MAP(std::log(x));
    case UnaryOp::Tanh:
      FASTORT_MAP(std::tanh(x));
    case UnaryOp::Sigmoid:
      FASTORT_MAP(sigmoid(x));
    case UnaryOp::Erf:
      FASTORT_MAP(std::erf(x));
    case UnaryOp::Elu:
      FASTORT_MAP(x < 0 ? a * std::expm1(x) : x);
    case UnaryOp::Selu:
      FASTORT_MAP(b * (x > 0 ? x : a * std::expm1(x)));
    case UnaryOp::Celu:
      FASTORT_MAP((x < 0 ? 0 : x) + clamp<T>(a * std::expm1(x / a), -std::numeric_limits<T>::infinity(), 0));
    case UnaryOp::Softplus:
      FASTORT_MAP((x < 0 ? 0 : x) + std::log1p(std::exp(-std::abs(x))));
    case UnaryOp::Mish:
      FASTORT_MAP(x * tanh_softplus(x));
    case UnaryOp::Gelu:
      FASTORT_MAP(x * 0.5 * std::erfc(-x * 0.70710678118654752));
    case UnaryOp::GeluTanh:
      FASTORT_MAP(x * sigmoid(x * (1.5957691216057308 + 0.07135481627260025 * x * x)));
    case UnaryOp::Silu:
      FASTORT_MAP(x * sigmoid(a * x));
    default:
      return trigonometric<double>(op);
  }
}

template <class T>
UnaryFn int_unary(UnaryOp op) {
  using W = WrapType<T>;
  switch (op) {
    case UnaryOp::Abs:
      FASTORT_MAP(x < 0 ? static_cast<T>(W{0} - static_cast<W>(x)) : x);
    case UnaryOp::Neg:
      FASTORT_MAP(static_cast<T>(W{0} - static_cast<W>(x)));
    case UnaryOp::Sign:
      FASTORT_MAP(static_cast<T>((x > 0) - (x < 0)));
    case UnaryOp::Square:
      FASTORT_MAP(static_cast<T>(static_cast<W>(x) * static_cast<W>(x)));
    case UnaryOp::Relu:
      FASTORT_MAP(x < 0 ? T{0} : x);
    case UnaryOp::Shrink:
      return [](const void* src, void* dst, int64_t n, const UnaryParams& params) {
        const double a = params.a, b = params.b;
        map<T>(src, dst, n, [=](T x) -> T {
          const double v = static_cast<double>(x);
          const double y = v < -a ? v + b : v > a ? v - b : 0;
          return static_cast<T>(static_cast<int64_t>(clamp(y, -9.2e18, 9.2e18)));
        });
      };
    default:
      return nullptr;
  }
}

}  // namespace

#undef FASTORT_MAP

UnaryFn scalar_unary(UnaryOp op, DataType type) {
  if (type == DataType::Float) return trigonometric<float>(op);
  if (type == DataType::Double) return double_unary(op);
  return dispatch_int(type, [&](auto tag) { return int_unary<typename decltype(tag)::type>(op); });
}

UnaryFn unary_f32(UnaryOp op) {
  if (UnaryFn fn = simple_unary_f32(op)) return fn;
  if (UnaryFn fn = exp_unary_f32(op)) return fn;
  if (UnaryFn fn = trigonometric_unary_f32(op)) return fn;
  return scalar_unary(op, DataType::Float);
}

std::optional<Unary> Unary::find(UnaryOp op, DataType type, UnaryParams params) {
  const bool in_float = type == DataType::Float || type == DataType::Float16 || type == DataType::BFloat16;
  const UnaryFn fn = in_float ? unary_f32(op) : scalar_unary(op, type);
  if (!fn) return std::nullopt;
  return Unary(op, type, fn, params);
}

void Unary::operator()(const void* src, void* dst, int64_t n) const {
  if (type_ != DataType::Float16 && type_ != DataType::BFloat16) return fn_(src, dst, n, params_);
  float block[kHalfBlock];
  const uint16_t* x = static_cast<const uint16_t*>(src);
  uint16_t* y = static_cast<uint16_t*>(dst);
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t count = std::min(kHalfBlock, n - i);
    widen(type_, x + i, block, count);
    fn_(block, block, count, params_);
    narrow(type_, block, y + i, count);
  }
}

int64_t Unary::grain() const {
  if (op_ < UnaryOp::Exp) return 16384;
  return op_ < UnaryOp::Sin && type_ != DataType::Double ? 4096 : 1024;
}

bool Unary::keeps_zero() const {
  switch (op_) {
    case UnaryOp::Reciprocal:
    case UnaryOp::Exp:
    case UnaryOp::Log:
    case UnaryOp::Sigmoid:
    case UnaryOp::Softplus:
    case UnaryOp::Cos:
    case UnaryOp::Cosh:
    case UnaryOp::Acos:
    case UnaryOp::Acosh:
      return false;
    case UnaryOp::Clip:
      return params_.a <= 0 && params_.b >= 0;
    case UnaryOp::HardSigmoid:
    case UnaryOp::Affine:
      return params_.b == 0;
    case UnaryOp::Celu:
      return params_.a != 0;
    case UnaryOp::Shrink:
    case UnaryOp::ThresholdedRelu:
      return params_.a >= 0;
    default:
      return true;
  }
}

}  // namespace fastort::kernels
