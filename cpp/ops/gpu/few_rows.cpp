#include "ops/gpu/few_rows.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace fastort::gpu {
namespace {

constexpr int64_t kMostRows = 4;
constexpr uint32_t kDotInvocations = 128, kLineInvocations = 256;
constexpr int64_t kDotColumns = 4;    // that a subgroup makes at once
constexpr uint32_t kLeastAcross = 8;  // invocations that read 16 bytes each: a line of a cache
constexpr int64_t kStepsAhead = 4;    // of an invocation
constexpr int64_t kLeastPart = 64;    // steps of k
constexpr int64_t kPartStep = 64;     // parts begin at a multiple of it
constexpr uint32_t kUsualCores = 32;  // see tiles.cpp
// Bytes that the memory could have sent while parts are added up.
constexpr double kDispatchBytes = 4e6;

int64_t up(int64_t count, int64_t size) { return (count + size - 1) / size; }

// As many parts as let enough groups read at once. A device on a CPU reads as fast with few.
Parts choose_parts(const Gemm& gemm, int64_t groups, int64_t value_bytes, const GpuTraits& traits) {
  const auto batch = static_cast<int64_t>(gemm.a_offsets.size());
  const int64_t elements = gemm.m * gemm.n * batch;
  if (traits.parts > 0) return cut_steps(gemm.k, traits.parts, kPartStep, elements);
  if (traits.slow_shared) return {};
  const double enough = 2.0 * (traits.cores ? traits.cores : kUsualCores);
  const double bytes = static_cast<double>(gemm.k * gemm.n * batch * value_bytes);
  Parts best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t wanted = 1; wanted <= 32; wanted *= 2) {
    const Parts parts = cut_steps(gemm.k, wanted, kPartStep, elements);
    if (wanted > 1 && (parts.count == 1 || parts.steps < kLeastPart)) break;
    const double busy = std::min(1.0, static_cast<double>(groups * parts.count) / enough);
    const double time = bytes / busy + (parts.count > 1 ? kDispatchBytes : 0);
    if (time < least) {
      least = time;
      best = parts;
    }
  }
  return best;
}

}  // namespace

Gemm fewer_rows_than_columns(const Gemm& gemm) {
  Gemm turned = gemm;
  if (turned.c_row == 0) turned.c_row = gemm.n;
  if (gemm.m <= gemm.n) return turned;
  std::swap(turned.m, turned.n);
  std::swap(turned.a, turned.b);
  std::swap(turned.a_offsets, turned.b_offsets);
  std::swap(turned.c_row, turned.c_column);
  turned.a_row = gemm.b_column;
  turned.a_step = gemm.b_step;
  turned.b_step = gemm.a_step;
  turned.b_column = gemm.a_row;
  // A number for each column becomes one for each row.
  if (gemm.addend_mode == 2 || gemm.addend_mode == 3) turned.addend_mode = 5 - gemm.addend_mode;
  return turned;
}

FewRows few_rows(const Gemm& gemm, const GpuTraits& traits) {
  if (gemm.m > kMostRows || traits.few_rows == GpuTraits::Choice::Never) return {};
  const int64_t values = traits.halves ? 8 : 4;
  const bool dots = gemm.b_step == 1 && gemm.k > 1;
  if (dots && !traits.subgroup_sums) return {};
  const uint32_t invocations = dots ? kDotInvocations : kLineInvocations;
  if (invocations > traits.max_invocations) return {};
  FewRows form;
  int64_t across = 0, columns = 0;
  if (dots) {
    form.shader = "gemm_rows.dots";
    across = columns = kDotColumns * std::max<int64_t>(1, invocations / traits.subgroup);
  } else {
    form.shader = "gemm_rows.lines";
    // Short columns have no work for many invocations below one another.
    const auto down = std::bit_ceil(static_cast<uint64_t>(up(gemm.k, kStepsAhead)));
    across = std::max<int64_t>(kLeastAcross, invocations / static_cast<int64_t>(down));
    columns = across * values;
  }
  const auto wide = [&](int64_t length, int64_t step, int64_t stride, const std::vector<int64_t>& offsets) {
    return in_words(length, step, stride, offsets, values) ? 1u : 0u;
  };
  const int64_t groups = up(gemm.n, columns);
  const auto batch = static_cast<int64_t>(gemm.a_offsets.size());
  form.parts = choose_parts(gemm, groups * batch, traits.halves ? 2 : 4, traits);
  if (groups > traits.max_groups[0] || form.parts.count > traits.max_groups[1] || batch > traits.max_groups[2])
    return {};
  form.constants = {invocations, static_cast<uint32_t>(gemm.m), static_cast<uint32_t>(across),
                    wide(gemm.k, gemm.a_step, gemm.a_row, gemm.a_offsets),
                    dots ? wide(gemm.k, gemm.b_step, gemm.b_column, gemm.b_offsets)
                         : wide(gemm.n, gemm.b_column, gemm.b_step, gemm.b_offsets)};
  form.groups = {static_cast<uint32_t>(groups), static_cast<uint32_t>(form.parts.count), static_cast<uint32_t>(batch)};
  return form;
}

}  // namespace fastort::gpu
