#include "ops/gpu/parts.h"

#include <algorithm>

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;
constexpr int64_t kMostSums = int64_t{1} << 28;

}  // namespace

Parts cut_steps(int64_t k, int64_t count, int64_t step, int64_t elements) {
  const auto up = [](int64_t number, int64_t size) { return (number + size - 1) / size; };
  count = std::min({count, up(k, step), kMostSums / std::max<int64_t>(elements, 1)});
  if (count <= 1) return {};
  const int64_t steps = up(up(k, count), step) * step;
  count = up(k, steps);
  return count > 1 ? Parts{count, steps} : Parts{};
}

void add_part_sums(GpuWork& work, const PartSums& sums, const GpuTraits& traits) {
  const bool table = sums.table.kind != GpuOperand::Kind::None;
  const int64_t count = sums.items * sums.m * sums.n;
  GpuDispatch& dispatch = work.dispatch("sum_parts");
  dispatch.constants = sums.epilogue;
  dispatch.constants.push_back(table ? 1 : 0);
  dispatch.operands = {sums.result, sums.sums, sums.addend, sums.residual, sums.table};
  dispatch.push.u32(count).u32(sums.parts).u32(sums.m).u32(sums.n).u32(sums.c_row).u32(sums.c_column);
  dispatch.push.f32(sums.alpha).f32(sums.beta).f32(sums.act_a).f32(sums.act_b);
  dispatch.groups = groups_for(count, kGroup, traits);
}

}  // namespace fastort::gpu
