#include "kernels/svm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/svm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "kernels/elementwise/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums over the features of one block: products with x, or squared distances from it.
template <bool kDistance>
HWY_INLINE void Accumulate(const float* x, const float* block, int64_t features, float* dst) {
  constexpr int kVectors = 4;
  const hn::CappedTag<float, SupportVectors::kBlock / kVectors> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t at = 0; at < SupportVectors::kBlock; at += kVectors * lanes) {
    hn::Vec<decltype(d)> s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    const float* v = block + at;
    for (int64_t f = 0; f < features; ++f, v += SupportVectors::kBlock) {
      const auto xf = hn::Set(d, x[f]);
      auto v0 = hn::LoadU(d, v), v1 = hn::LoadU(d, v + lanes);
      auto v2 = hn::LoadU(d, v + 2 * lanes), v3 = hn::LoadU(d, v + 3 * lanes);
      if constexpr (kDistance) {
        v0 = hn::Sub(v0, xf), v1 = hn::Sub(v1, xf), v2 = hn::Sub(v2, xf), v3 = hn::Sub(v3, xf);
        s0 = hn::MulAdd(v0, v0, s0), s1 = hn::MulAdd(v1, v1, s1);
        s2 = hn::MulAdd(v2, v2, s2), s3 = hn::MulAdd(v3, v3, s3);
      } else {
        s0 = hn::MulAdd(v0, xf, s0), s1 = hn::MulAdd(v1, xf, s1);
        s2 = hn::MulAdd(v2, xf, s2), s3 = hn::MulAdd(v3, xf, s3);
      }
    }
    hn::StoreU(s0, d, dst + at), hn::StoreU(s1, d, dst + at + lanes);
    hn::StoreU(s2, d, dst + at + 2 * lanes), hn::StoreU(s3, d, dst + at + 3 * lanes);
  }
}

template <class F>
HWY_INLINE void MapBlock(float* data, F f) {
  const hn::CappedTag<float, SupportVectors::kBlock> d;
  for (int64_t i = 0; i < SupportVectors::kBlock; i += static_cast<int64_t>(hn::Lanes(d)))
    hn::StoreU(f(d, hn::LoadU(d, data + i)), d, data + i);
}

void RunBlock(const SvmKernelParams& params, const float* x, const float* block, int64_t features, float* dst) {
  if (params.kind == SvmKernelKind::Rbf)
    Accumulate<true>(x, block, features, dst);
  else
    Accumulate<false>(x, block, features, dst);
  switch (params.kind) {
    case SvmKernelKind::Linear:
      return;
    case SvmKernelKind::Rbf:
      return MapBlock(dst, [&](auto d, auto sum) HWY_ATTR { return Exp(d, hn::Mul(sum, hn::Set(d, -params.gamma))); });
    case SvmKernelKind::Sigmoid:
      return MapBlock(dst, [&](auto d, auto sum) HWY_ATTR {
        return Tanh(d, hn::MulAdd(sum, hn::Set(d, params.gamma), hn::Set(d, params.coef0)));
      });
    case SvmKernelKind::Poly:
      MapBlock(dst, [&](auto d, auto sum) HWY_ATTR {
        const auto base = hn::MulAdd(sum, hn::Set(d, params.gamma), hn::Set(d, params.coef0));
        if (params.degree == 2) return hn::Mul(base, base);
        if (params.degree == 3) return hn::Mul(base, hn::Mul(base, base));
        return base;
      });
      if (params.degree == 1 || params.degree == 2 || params.degree == 3) return;
      for (int64_t i = 0; i < SupportVectors::kBlock; ++i) dst[i] = std::pow(dst[i], params.degree);
      return;
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

SupportVectors::SupportVectors(std::span<const float> vectors, int64_t count, int64_t features,
                               const SvmKernelParams& params)
    : params_(params), count_(count), features_(features) {
  packed_.resize(static_cast<size_t>(padded_count() * features));
  for (int64_t v = 0; v < count; ++v) {
    float* block = packed_.data() + v / kBlock * kBlock * features + v % kBlock;
    for (int64_t f = 0; f < features; ++f) block[f * kBlock] = vectors[static_cast<size_t>(v * features + f)];
  }
}

HWY_EXPORT(RunBlock);

void SupportVectors::run(const float* x, float* dst) const {
  const auto run_block = HWY_DYNAMIC_POINTER(RunBlock);
  for (int64_t at = 0; at < padded_count(); at += kBlock)
    run_block(params_, x, packed_.data() + at * features_, features_, dst + at);
}

}  // namespace fastort::kernels
#endif
