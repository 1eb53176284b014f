#include "kernels/conv/vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/vector.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/gemm/activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows [begin, end) of one matrix-vector product.
void VectorRows(const ActivationSpec& activation, const float* HWY_RESTRICT x, const float* HWY_RESTRICT weights,
                int64_t channels, const float* bias, const float* residual, float* dst, int64_t begin, int64_t end) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  // As many streams of weights, far from one another, as the processor fetches side by side.
  constexpr int kRows = 4;
  const int64_t part = (end - begin + kRows - 1) / kRows;
  for (int64_t i = 0; i < part; ++i) {
    const float* row[kRows];
    for (int r = 0; r < kRows; ++r) row[r] = weights + std::min(begin + r * part + i, end - 1) * channels;
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t c = 0; c < channels; c += lanes) {
      const size_t n = static_cast<size_t>(std::min(lanes, channels - c));
      const bool full = n == static_cast<size_t>(lanes);
      const auto load = [&](const float* p) { return full ? hn::LoadU(d, p + c) : hn::LoadN(d, p + c, n); };
      const auto v = load(x);
      s0 = hn::MulAdd(load(row[0]), v, s0);
      s1 = hn::MulAdd(load(row[1]), v, s1);
      s2 = hn::MulAdd(load(row[2]), v, s2);
      s3 = hn::MulAdd(load(row[3]), v, s3);
    }
    const float sums[kRows] = {hn::ReduceSum(d, s0), hn::ReduceSum(d, s1), hn::ReduceSum(d, s2), hn::ReduceSum(d, s3)};
    for (int r = 0; r < kRows; ++r) {
      const int64_t m = begin + r * part + i;
      if (m >= end) break;
      float sum = sums[r];
      if (bias) sum += bias[m];
      if (residual) sum += residual[m];
      dst[m] = sum;
    }
  }
  activate_array(d, activation, dst + begin, end - begin);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(VectorRows);

void conv_vector(const ConvShape& shape, const ActivationSpec& activation, const float* src, const float* weights,
                 const float* bias, const float* residual, float* dst, const Parallel& parallel) {
  const int64_t in = shape.in_channels, out = shape.out_channels;
  for (int64_t n = 0; n < shape.batch; ++n)
    parallel.range(out, std::max<int64_t>(32768 / in, 4), [&](int64_t begin, int64_t end) {
      HWY_DYNAMIC_DISPATCH(VectorRows)
      (activation, src + n * in, weights, in, bias, residual ? residual + n * out : nullptr, dst + n * out, begin, end);
    });
}

}  // namespace fastort::kernels
#endif
