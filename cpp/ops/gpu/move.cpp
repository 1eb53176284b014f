#include "ops/gpu/move.h"

#include "ops/gpu/nest.h"

namespace fastort::gpu {

Refusal add_copy(GpuWork& work, StridedCopy copy, const GpuTraits& traits) {
  const size_t bytes = element_size(copy.type);
  if (bytes == 1 && !traits.storage8) return "single bytes, which the device's shaders cannot store";
  if (bytes != 1 && bytes != 4 && bytes != 8) return "elements of " + std::to_string(bytes) + " bytes";
  Shape shape;
  for (const int64_t dim : copy.dims) shape.push_back(dim);
  if (shape.count() == 0) return std::nullopt;
  Nest nest(shape);
  nest.add(std::move(copy.from));
  nest.add(std::move(copy.to));
  nest.merge();
  std::vector<uint32_t> table;
  for (const int64_t dim : nest.dims()) table.push_back(static_cast<uint32_t>(dim));
  for (size_t i = 0; i < 2; ++i)
    for (const int64_t stride : nest.strides(i)) table.push_back(static_cast<uint32_t>(stride));
  const GpuOperand tables = work.table(std::move(table));
  GpuDispatch& dispatch = work.dispatch(bytes == 1 ? "strided.1" : bytes == 4 ? "strided.4" : "strided.8");
  dispatch.constants = {static_cast<uint32_t>(nest.rank())};
  dispatch.operands = {copy.destination, copy.source, tables};
  dispatch.push.u32(shape.count()).u32(copy.from_offset).u32(copy.to_offset);
  dispatch.groups = groups_for(shape.count(), 64, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
