#include "ops/gpu/move.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

const char* shader_for(size_t bytes) {
  switch (bytes) {
    case 1:
      return "strided.1";
    case 2:
      return "strided.2";
    case 4:
      return "strided.4";
    case 8:
      return "strided.8";
    case 16:
      return "strided.16";
    default:
      return nullptr;
  }
}

}  // namespace

Refusal add_copy(GpuWork& work, const kernels::StridedCopy& copy, GpuOperand source, GpuOperand destination,
                 const GpuTraits& traits) {
  const int64_t count = copy.dims().count();
  if (count == 0) return std::nullopt;
  const char* shader = shader_for(copy.element_bytes());
  if (!shader) return "elements of " + std::to_string(copy.element_bytes()) + " bytes";
  if (copy.element_bytes() == 1 && !traits.storage8) return "single bytes, which the device's shaders cannot store";
  if (copy.element_bytes() == 2 && !traits.storage16) return "16-bit elements, which the device's shaders cannot store";
  std::vector<uint32_t> table;
  for (const int64_t dim : copy.dims()) table.push_back(static_cast<uint32_t>(dim));
  for (const int64_t stride : copy.src_strides()) table.push_back(static_cast<uint32_t>(stride));
  for (const int64_t stride : copy.dst_strides()) table.push_back(static_cast<uint32_t>(stride));
  const GpuOperand tables = work.table(std::move(table));
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {static_cast<uint32_t>(copy.dims().rank())};
  dispatch.operands = {destination, source, tables};
  dispatch.push.u32(count).u32(copy.src_offset()).u32(copy.dst_offset());
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
