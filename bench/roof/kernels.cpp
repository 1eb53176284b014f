#include "kernels.h"

#include "hwy/cache_control.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels.cpp"
#include "hwy/foreach_target.h"
// Highway's target pragmas start after this header.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

int64_t fma_rounds_impl(int64_t rounds, float* sink) {
  // Two units with a latency of four to five cycles need ten sums in flight; twelve and two operands fit sixteen
  // registers.
  const hn::ScalableTag<float> d;
  const auto scale = hn::Set(d, 0.9999f);
  const auto step = hn::Set(d, 1e-4f);
  auto s0 = hn::Iota(d, 0), s1 = hn::Iota(d, 1), s2 = hn::Iota(d, 2), s3 = hn::Iota(d, 3);
  auto s4 = hn::Iota(d, 4), s5 = hn::Iota(d, 5), s6 = hn::Iota(d, 6), s7 = hn::Iota(d, 7);
  auto s8 = hn::Iota(d, 8), s9 = hn::Iota(d, 9), s10 = hn::Iota(d, 10), s11 = hn::Iota(d, 11);
  for (int64_t i = 0; i < rounds; ++i) {
    s0 = hn::MulAdd(s0, scale, step);
    s1 = hn::MulAdd(s1, scale, step);
    s2 = hn::MulAdd(s2, scale, step);
    s3 = hn::MulAdd(s3, scale, step);
    s4 = hn::MulAdd(s4, scale, step);
    s5 = hn::MulAdd(s5, scale, step);
    s6 = hn::MulAdd(s6, scale, step);
    s7 = hn::MulAdd(s7, scale, step);
    s8 = hn::MulAdd(s8, scale, step);
    s9 = hn::MulAdd(s9, scale, step);
    s10 = hn::MulAdd(s10, scale, step);
    s11 = hn::MulAdd(s11, scale, step);
  }
  const auto low = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(s4, s5));
  const auto high = hn::Add(hn::Add(hn::Add(s6, s7), hn::Add(s8, s9)), hn::Add(s10, s11));
  *sink = hn::ReduceSum(d, hn::Add(low, high));
  return rounds * 12 * 2 * static_cast<int64_t>(hn::Lanes(d));
}

uint64_t read_once_impl(const void* data, size_t bytes) {
  const hn::ScalableTag<uint64_t> d;
  const size_t lanes = hn::Lanes(d);
  const auto* words = static_cast<const uint64_t*>(data);
  const size_t count = bytes / sizeof(uint64_t);
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  for (size_t i = 0; i + 8 * lanes <= count; i += 8 * lanes) {
    s0 = hn::Or3(s0, hn::Load(d, words + i), hn::Load(d, words + i + 4 * lanes));
    s1 = hn::Or3(s1, hn::Load(d, words + i + lanes), hn::Load(d, words + i + 5 * lanes));
    s2 = hn::Or3(s2, hn::Load(d, words + i + 2 * lanes), hn::Load(d, words + i + 6 * lanes));
    s3 = hn::Or3(s3, hn::Load(d, words + i + 3 * lanes), hn::Load(d, words + i + 7 * lanes));
  }
  return hn::ReduceSum(d, hn::Or(hn::Or(s0, s1), hn::Or(s2, s3)));
}

uint64_t read_streams_impl(const void* data, size_t bytes) {
  const hn::ScalableTag<uint64_t> d;
  constexpr size_t kLine = 64 / sizeof(uint64_t), kAhead = 16 * kLine;
  const size_t lanes = hn::Lanes(d), quarter = bytes / sizeof(uint64_t) / 4;
  const auto* words = static_cast<const uint64_t*>(data);
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  const auto add_line = [&](hn::Vec<decltype(d)>& sum, const uint64_t* line) HWY_ATTR {
    hwy::Prefetch(line + kAhead);
    for (size_t i = 0; i < kLine; i += lanes) sum = hn::Or(sum, hn::Load(d, line + i));
  };
  for (size_t i = 0; i < quarter; i += kLine) {
    add_line(s0, words + i);
    add_line(s1, words + i + quarter);
    add_line(s2, words + i + 2 * quarter);
    add_line(s3, words + i + 3 * quarter);
  }
  return hn::ReduceSum(d, hn::Or(hn::Or(s0, s1), hn::Or(s2, s3)));
}

const char* target_name_impl() { return hwy::TargetName(HWY_TARGET); }

}  // namespace HWY_NAMESPACE
}  // namespace fastort::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::bench {

HWY_EXPORT(fma_rounds_impl);
HWY_EXPORT(read_once_impl);
HWY_EXPORT(read_streams_impl);
HWY_EXPORT(target_name_impl);

int64_t fma_rounds(int64_t rounds, float* sink) { return HWY_DYNAMIC_DISPATCH(fma_rounds_impl)(rounds, sink); }

uint64_t read_once(const void* data, size_t bytes) { return HWY_DYNAMIC_DISPATCH(read_once_impl)(data, bytes); }

uint64_t read_streams(const void* data, size_t bytes) { return HWY_DYNAMIC_DISPATCH(read_streams_impl)(data, bytes); }

const char* target_name() { return HWY_DYNAMIC_DISPATCH(target_name_impl)(); }

uint64_t dependent_chain(int64_t rounds, uint64_t a, uint64_t b) {
  // An addition and an exclusive or of unknown values do not fold into fewer operations.
  uint64_t x = a;
  for (int64_t i = 0; i < rounds; ++i) {
    for (int64_t pair = 0; pair < kChainCycles / 2; ++pair) {
      x = (x + a) ^ b;
    }
  }
  return x;
}

}  // namespace fastort::bench
#endif
