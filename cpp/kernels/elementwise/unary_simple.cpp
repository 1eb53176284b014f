// Functions that a few instructions compute, for float32.
#include "kernels/elementwise/unary_tables.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/unary_simple.cpp"
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

UnaryFn SimpleUnary(UnaryOp op) {
  switch (op) {
    case UnaryOp::Abs:
      FASTORT_MAP((void)d, hn::Abs(x));
    case UnaryOp::Neg:
      FASTORT_MAP((void)d, hn::Neg(x));
    case UnaryOp::Ceil:
      FASTORT_MAP((void)d, hn::Ceil(x));
    case UnaryOp::Floor:
      FASTORT_MAP((void)d, hn::Floor(x));
    case UnaryOp::Round:
      FASTORT_MAP((void)d, hn::Round(x));
    case UnaryOp::Sqrt:
      FASTORT_MAP((void)d, hn::Sqrt(x));
    case UnaryOp::Reciprocal:
      FASTORT_MAP(hn::Div(hn::Set(d, 1.0f), x));
    case UnaryOp::Sign:
      // 0, -0 and NaN stay what they are.
      FASTORT_MAP(hn::IfThenElse(hn::Gt(hn::Abs(x), hn::Zero(d)), hn::CopySign(hn::Set(d, 1.0f), x), x));
    case UnaryOp::Square:
      FASTORT_MAP((void)d, hn::Mul(x, x));
    case UnaryOp::Relu:
      FASTORT_MAP(hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x));
    case UnaryOp::LeakyRelu:
      FASTORT_MAP(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, hn::Set(d, params.a)), x));
    case UnaryOp::ThresholdedRelu:
      FASTORT_MAP(hn::IfThenZeroElse(hn::Le(x, hn::Set(d, params.a)), x));
    case UnaryOp::HardSigmoid:
      FASTORT_MAP(AtLeast(d, AtMost(d, hn::MulAdd(x, hn::Set(d, params.a), hn::Set(d, params.b)), 1.0f), 0.0f));
    case UnaryOp::HardSwish:
      FASTORT_MAP(hn::Mul(x, AtLeast(d, AtMost(d, hn::MulAdd(x, hn::Set(d, 1.0f / 6), hn::Set(d, 0.5f)), 1.0f), 0.0f)));
    case UnaryOp::Softsign:
      FASTORT_MAP(hn::Div(x, hn::Add(hn::Abs(x), hn::Set(d, 1.0f))));
    case UnaryOp::Shrink:
      FASTORT_MAP(Shrink(d, x, params.a, params.b));
    case UnaryOp::Clip:
      FASTORT_MAP(AtMost(d, AtLeast(d, x, params.a), params.b));
    case UnaryOp::Affine:
      FASTORT_MAP(hn::MulAdd(x, hn::Set(d, params.a), hn::Set(d, params.b)));
    default:
      return nullptr;
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {
HWY_EXPORT(SimpleUnary);
UnaryFn simple_unary_f32(UnaryOp op) { return HWY_DYNAMIC_DISPATCH(SimpleUnary)(op); }
}  // namespace fastort::kernels
#endif
