#include "ops/gpu/rows.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

}  // namespace

Rows rows_along(const Shape& shape, int axis) {
  if (shape.rank() == 0) return {};
  return {shape.count(0, axis), shape[static_cast<size_t>(axis)], shape.count(axis + 1, shape.rank())};
}

GpuDispatch& add_rows(GpuWork& work, std::string_view shader, const Rows& rows, std::vector<uint32_t> more,
                      std::vector<GpuOperand> operands, const GpuTraits& traits, bool push_inner) {
  // A short row would leave most of a group idle, and it is read once whoever reads it.
  const bool dense = rows.inner == 1 && rows.n >= kGroup / 2;
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {dense ? 1u : 0u};
  dispatch.constants.insert(dispatch.constants.end(), more.begin(), more.end());
  dispatch.operands = std::move(operands);
  dispatch.push.u32(rows.count()).u32(rows.n);
  if (push_inner) dispatch.push.u32(rows.inner);
  dispatch.groups = groups_for(rows.count(), dense ? 1 : kGroup, traits);
  return dispatch;
}

void add_norm(GpuWork& work, const Norm& norm, const GpuTraits& traits) {
  uint32_t parts = 0, bit = 0;
  for (const GpuOperand* part :
       {&norm.scale, &norm.bias, &norm.mean, &norm.inv_std, &norm.skip, &norm.skip_bias, &norm.sum}) {
    if (part->kind != GpuOperand::Kind::None) parts |= 1u << bit;
    ++bit;
  }
  const bool dense = norm.n >= kGroup / 2;
  GpuDispatch& dispatch = work.dispatch("norm");
  dispatch.constants = {dense ? 1u : 0u, norm.rms ? 1u : 0u, parts};
  dispatch.operands = {norm.y,       norm.x,    norm.scale,     norm.bias, norm.mean,
                       norm.inv_std, norm.skip, norm.skip_bias, norm.sum};
  dispatch.push.u32(norm.rows).u32(norm.n).u32(norm.skip_count).f32(norm.epsilon);
  dispatch.push.u32(norm.scale_step).u32(norm.scale_period);
  dispatch.groups = groups_for(norm.rows, dense ? 1 : kGroup, traits);
}

}  // namespace fastort::gpu
