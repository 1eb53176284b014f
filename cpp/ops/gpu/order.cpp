#include "ops/gpu/order.h"

#include "ops/gpu/rows.h"
#include "ops/gpu/typed.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;
// Comparisons that one TopK may cost: each element is compared with its row.
constexpr double kMostComparisons = 1e11;

}  // namespace

Refusal add_arg(GpuWork& work, DataType type, const kernels::AxisView& view, bool smallest, bool last,
                GpuOperand result, const GpuTraits& traits) {
  std::string_view shader;
  if (Refusal refusal = choose_by_type("arg", type, traits, shader)) return refusal;
  if (view.n == 0) return "an empty axis";
  add_rows(work, shader, {view.outer, view.n, view.inner}, {smallest ? 1u : 0u, last ? 1u : 0u},
           {result, GpuWork::input(0)}, traits);
  return std::nullopt;
}

Refusal add_top_k(const OpContext& context, GpuWork& work, const kernels::AxisView& view, int64_t k, bool largest,
                  const GpuTraits& traits) {
  std::string_view shader;
  if (Refusal refusal = choose_by_type("top_k", context.type(0), traits, shader)) return refusal;
  const int64_t count = view.outer * view.n * view.inner;
  if (static_cast<double>(count) * static_cast<double>(view.n) > kMostComparisons)
    return "rows of " + std::to_string(view.n) + " elements, too many to compare each with each";
  GpuDispatch& dispatch = work.dispatch(shader);
  uint32_t outputs = 0;
  for (int i = 0; i < 2; ++i) {
    dispatch.operands.push_back(context.has_output(i) ? GpuWork::output(i) : GpuWork::none());
    if (context.has_output(i)) outputs |= 1u << i;
  }
  dispatch.operands.push_back(GpuWork::input(0));
  dispatch.constants = {largest ? 1u : 0u, outputs};
  dispatch.push.u32(count).u32(view.n).u32(view.inner).u32(k);
  dispatch.groups = groups_for(count, kGroup, traits);
  dispatch.flops = static_cast<double>(count) * static_cast<double>(view.n);
  return std::nullopt;
}

Refusal add_scan(GpuWork& work, DataType type, const kernels::AxisView& view, const kernels::Scan& scan,
                 const GpuTraits& traits) {
  std::string_view shader;
  if (Refusal refusal = choose_by_type("scan", type, traits, shader)) return refusal;
  const int64_t rows = view.outer * view.inner;
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {scan.product ? 1u : 0u, scan.exclusive ? 1u : 0u, scan.reverse ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  dispatch.push.u32(rows).u32(view.n).u32(view.inner);
  dispatch.groups = groups_for(rows, kGroup, traits);
  return std::nullopt;
}

Refusal add_one_hot(GpuWork& work, DataType index_type, DataType type, const kernels::AxisView& view,
                    GpuOperand indices, GpuOperand values, const GpuTraits& traits) {
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("one_hot", element_size(type), traits, shader)) return refusal;
  if (index_type != DataType::Int32 && index_type != DataType::Int64 && index_type != DataType::Float)
    return "indices of " + std::string(name(index_type));
  const int64_t count = view.outer * view.n * view.inner;
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {index_type == DataType::Int32 ? 0u : index_type == DataType::Int64 ? 1u : 2u};
  dispatch.operands = {GpuWork::output(0), indices, values};
  dispatch.push.u32(count).u32(view.n).u32(view.inner);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
