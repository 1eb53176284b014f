// Functions made of exponentials and logarithms, for float32.
#include "kernels/elementwise/unary_tables.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/unary_exp.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "kernels/elementwise/map-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#define FASTORT_MAP(...)                                                                           \
  return [](const void* src, void* dst, int64_t n, [[maybe_unused]] const UnaryParams& params) {   \
    Map(                                                                                           \
        static_cast<const float*>(src), static_cast<float*>(dst),                                  \
        n, [&](auto d, auto x) HWY_ATTR __attribute__((always_inline)) { return (__VA_ARGS__); }); \
  }

UnaryFn ExpUnary(UnaryOp op) {
  switch (op) {
    case UnaryOp::Exp:
      FASTORT_MAP(Exp(d, x));
    case UnaryOp::Log:
      FASTORT_MAP(Log(d, x));
    case UnaryOp::Tanh:
      FASTORT_MAP(Tanh(d, x));
    case UnaryOp::Sigmoid:
      FASTORT_MAP(Sigmoid(d, x));
    case UnaryOp::Erf:
      FASTORT_MAP(Erf(d, x));
    case UnaryOp::Elu:
      FASTORT_MAP(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(hn::Set(d, params.a), Expm1(d, x)), x));
    case UnaryOp::Selu:
      FASTORT_MAP(hn::Mul(hn::Set(d, params.b),
                          hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, hn::Mul(hn::Set(d, params.a), Expm1(d, x)))));
    case UnaryOp::Celu:
      FASTORT_MAP(hn::Add(AtLeast(d, x, 0.0f),
                          AtMost(d, hn::Mul(hn::Set(d, params.a), Expm1(d, hn::Div(x, hn::Set(d, params.a)))), 0.0f)));
    case UnaryOp::Softplus:
      FASTORT_MAP(Softplus(d, x));
    case UnaryOp::Mish:
      FASTORT_MAP(Mish(d, x));
    case UnaryOp::Gelu:
      FASTORT_MAP(Gelu(d, x));
    case UnaryOp::GeluTanh:
      FASTORT_MAP(GeluTanh(d, x));
    case UnaryOp::Silu:
      FASTORT_MAP(hn::Mul(x, Sigmoid(d, hn::Mul(x, hn::Set(d, params.a)))));
    default:
      return nullptr;
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {
HWY_EXPORT(ExpUnary);
UnaryFn exp_unary_f32(UnaryOp op) { return HWY_DYNAMIC_DISPATCH(ExpUnary)(op); }
}  // namespace fastort::kernels
#endif
