#include "ops/gpu/order.h"

#include <algorithm>
#include <bit>

#include "ops/gpu/rows.h"
#include "ops/gpu/typed.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;
// What is cut into parts by CumSum and CumProd, and how.
constexpr int64_t kLongScan = 2048, kManyRows = 4096, kLeastPart = 128, kMostParts = 1024;
// Rows up to which TopK compares each element with each of its row; longer ones are sorted.
constexpr int64_t kComparedRow = 1024;
// Places that one TopK may sort, and what a group of shaders/sort.comp sorts by itself.
constexpr int64_t kMostPlaces = int64_t{1} << 28, kSortBlock = 2 * kGroup;

// The places of each row in order, by a network.
Refusal add_sort(const OpContext& context, GpuWork& work, const kernels::AxisView& view, int64_t k, bool largest,
                 const GpuTraits& traits) {
  std::string_view shader;
  if (Refusal refusal = choose_by_type("sort", context.type(0), traits, shader)) return refusal;
  const int64_t rows = view.outer * view.inner;
  const auto padded = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max(view.n, kSortBlock))));
  if (padded > kMostPlaces / rows) return "rows of " + std::to_string(view.n) + " elements, too many to sort";
  uint32_t outputs = 0;
  for (int i = 0; i < 2; ++i)
    if (context.has_output(i)) outputs |= 1u << i;
  const GpuOperand places = work.scratch(static_cast<size_t>(rows * padded) * sizeof(uint32_t));
  const auto add = [&](uint32_t phase, int64_t count, uint32_t size, int64_t run, int64_t apart) -> GpuDispatch& {
    GpuDispatch& dispatch = work.dispatch(shader);
    dispatch.constants = {largest ? 1u : 0u, outputs, phase};
    dispatch.operands = {GpuWork::written(places), GpuWork::input(0)};
    dispatch.push.u32(count).u32(view.n).u32(view.inner).u32(k).u32(padded).u32(run).u32(apart);
    dispatch.groups = groups_for(count, size, traits);
    return dispatch;
  };
  const int64_t blocks = rows * (padded / kSortBlock), pairs = rows * (padded / 2);
  add(0, blocks, 1, 0, 0);
  for (int64_t run = 2 * kSortBlock; run <= padded; run *= 2) {
    for (int64_t apart = run / 2; apart >= kSortBlock; apart /= 2) add(1, pairs, kGroup, run, apart);
    add(2, blocks, 1, run, 0);
  }
  const auto output = [&](int i) { return context.has_output(i) ? GpuWork::output(i) : GpuWork::none(); };
  add(3, rows * k, kGroup, 0, 0).operands = {output(0), output(1), GpuWork::input(0), places};
  return std::nullopt;
}

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
  if (view.n > kComparedRow) return add_sort(context, work, view, k, largest, traits);
  const int64_t count = view.outer * view.n * view.inner;
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
  // Long rows are cut where there are too few of them to keep a GPU busy.
  int64_t parts = 1;
  if (view.n >= kLongScan && rows < kManyRows) parts = std::min<int64_t>(kMostParts, view.n / kLeastPart);
  const int64_t part = (view.n + parts - 1) / parts;
  GpuOperand sums;
  if (parts > 1) sums = work.scratch(static_cast<size_t>(rows * parts) * 2 * std::max<size_t>(4, element_size(type)));
  const auto add = [&](uint32_t phase, int64_t count, GpuOperand result, GpuOperand held) {
    GpuDispatch& dispatch = work.dispatch(shader);
    dispatch.constants = {scan.product ? 1u : 0u, scan.exclusive ? 1u : 0u, scan.reverse ? 1u : 0u, phase};
    dispatch.operands = {result, GpuWork::input(0), held};
    dispatch.push.u32(count).u32(view.n).u32(view.inner).u32(parts).u32(part);
    dispatch.groups = groups_for(count, kGroup, traits);
  };
  if (parts == 1) {
    add(0, rows, GpuWork::output(0), {});
    return std::nullopt;
  }
  add(1, rows * parts, {}, GpuWork::written(sums));
  add(2, rows, {}, GpuWork::written(sums));
  add(3, rows * parts, GpuWork::output(0), sums);
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
