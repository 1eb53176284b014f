#include "ops/gpu/map.h"

#include <bit>

#include "ops/core/move.h"
#include "ops/gpu/convert.h"
#include "ops/gpu/move.h"
#include "ops/gpu/nest.h"
#include "ops/gpu/typed.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;
constexpr size_t kMostPlaces = size_t{1} << 24;

// Neighbours whose elements follow one another become one.
void merge(std::vector<MappedDim>& dims) {
  std::vector<MappedDim> merged;
  for (MappedDim& dim : dims) {
    if (dim.size == 1 && dim.places.empty()) continue;
    const bool joins = !merged.empty() && merged.back().places.empty() && dim.places.empty() &&
                       merged.back().stride == dim.stride * dim.size;
    if (joins) dim.size *= merged.back().size;
    if (joins) merged.pop_back();
    merged.push_back(std::move(dim));
  }
  dims = std::move(merged);
}

}  // namespace

Refusal add_map(GpuWork& work, DataType type, std::vector<MappedDim> dims, GpuOperand fill, const GpuTraits& traits) {
  std::string_view shader;
  if (Refusal refusal = choose_by_bytes("map", element_size(type), traits, shader)) return refusal;
  merge(dims);
  if (dims.empty()) dims.push_back({});
  int64_t count = 1;
  size_t places = 0;
  for (const MappedDim& dim : dims) {
    count *= dim.size;
    places += dim.places.size();
  }
  if (places > kMostPlaces) return "dimensions of more than 2^24 places";
  std::vector<uint32_t> table;
  for (const MappedDim& dim : dims) {
    table.push_back(static_cast<uint32_t>(dim.size));
    table.push_back(0);
    table.push_back(static_cast<uint32_t>(dim.stride));
  }
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d].places.empty()) continue;
    table[3 * d + 1] = static_cast<uint32_t>(table.size());
    for (const int64_t place : dims[d].places) table.push_back(place < 0 ? ~0u : static_cast<uint32_t>(place));
  }
  const GpuOperand tables = work.table(std::move(table));
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {static_cast<uint32_t>(dims.size()), fill.kind == GpuOperand::Kind::None ? 0u : 1u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), tables, fill};
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

namespace {

Refusal add_nearest(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                    std::span<const kernels::ResizeAxis> axes, double extrapolation) {
  const Shape& src = context.shape(0);
  const std::vector<int64_t> strides = dense_strides(src);
  std::vector<MappedDim> dims;
  for (size_t d = 0; d < src.size(); ++d) dims.push_back({src[d], strides[d], {}});
  bool outside = false;
  for (const kernels::ResizeAxis& axis : axes) {
    MappedDim& dim = dims[static_cast<size_t>(axis.axis)];
    dim.size = axis.out;
    for (const int64_t index : axis.index) {
      dim.places.push_back(index < 0 ? -1 : index * dim.stride);
      outside |= index < 0;
    }
  }
  GpuOperand fill;
  if (outside) {
    if (context.type(0) != DataType::Float) return "an extrapolation value of another type than float32";
    fill = work.table({std::bit_cast<uint32_t>(static_cast<float>(extrapolation))});
  }
  return add_map(work, context.type(0), std::move(dims), fill, traits);
}

}  // namespace

Refusal add_resize(const OpContext& context, const GpuTraits& traits, GpuWork& work,
                   std::vector<kernels::ResizeAxis> axes, const kernels::ResizeOptions& options) {
  if (axes.empty()) {
    const kernels::StridedCopy copy(context.type(0), Shape{context.shape(0).count()}, {1}, {1});
    return add_copy(work, copy, GpuWork::input(0), GpuWork::output(0), traits);
  }
  if (options.mode == kernels::ResizeMode::Nearest)
    return add_nearest(context, traits, work, axes, options.extrapolation);
  const DataType type = context.type(0);
  const bool narrow = kIntTypes.has(type) && element_size(type) <= 2;
  if (type != DataType::Float && !narrow) return "weighted sums of " + std::string(name(type));
  // What shrinks most comes first.
  std::stable_sort(axes.begin(), axes.end(), [](const auto& a, const auto& b) { return a.out * b.in < b.out * a.in; });
  Shape shape = context.shape(0);
  GpuOperand from = GpuWork::input(0);
  if (narrow) {
    const GpuOperand floats = work.scratch(static_cast<size_t>(shape.count()) * sizeof(float));
    const Converted all{type, DataType::Float, shape.count(), GpuWork::written(floats), from, false};
    if (Refusal refusal = add_convert(work, all, traits)) return refusal;
    from = floats;
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    const kernels::ResizeAxis& axis = axes[i];
    const auto at = static_cast<size_t>(axis.axis);
    std::vector<uint32_t> indices, weights;
    for (const int64_t index : axis.index) indices.push_back(static_cast<uint32_t>(static_cast<int32_t>(index)));
    for (const double weight : axis.weight) weights.push_back(std::bit_cast<uint32_t>(static_cast<float>(weight)));
    shape[at] = axis.out;
    const int64_t count = shape.count();
    GpuOperand to = GpuWork::output(0);
    if (i + 1 < axes.size() || narrow) to = GpuWork::written(work.scratch(static_cast<size_t>(count) * sizeof(float)));
    const GpuOperand index_table = work.table(std::move(indices)), weight_table = work.table(std::move(weights));
    GpuDispatch& dispatch = work.dispatch("resize");
    dispatch.operands = {to, from, index_table, weight_table};
    dispatch.push.u32(count).u32(axis.in).u32(axis.out).u32(shape.count(axis.axis + 1, shape.rank())).u32(axis.taps);
    dispatch.push.f32(static_cast<float>(options.extrapolation));
    dispatch.groups = groups_for(count, kGroup, traits);
    from = to;
    from.written = false;
  }
  if (!narrow) return std::nullopt;
  // Rounded to the nearest even and kept inside the range, as a quantization by 1 does it.
  std::string_view shader;
  if (Refusal refusal = choose_by_type("quantize", type, traits, shader)) return refusal;
  const GpuOperand one = work.table({std::bit_cast<uint32_t>(1.0f)});
  GpuDispatch& dispatch = work.dispatch(shader_name("quantize", "quantize_" + std::string(shader.substr(9))));
  dispatch.constants = {0, 0, 0, 0};
  dispatch.operands = {GpuWork::output(0), from, one, GpuWork::none()};
  dispatch.push.u32(shape.count()).u32(1).u32(1).u32(1).u32(1);
  dispatch.groups = groups_for(shape.count(), kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
