#include <algorithm>

#include "kernels/move/segments.h"
#include "ops/core/move.h"
#include "ops/gpu/move.h"
#include "ops/parts.h"

namespace fastort {
namespace {

// ---- Concat --------------------------------------------------------------------------------------------------------

void infer_concat(InferContext& context) {
  const int inputs = context.num_inputs();
  int rank = -1;
  for (int i = 0; i < inputs; ++i) {
    if (!context.has_shape(i)) continue;
    if (rank >= 0 && context.shape(i).rank() != rank)
      context.fail("the inputs' ranks differ: " + std::to_string(rank) + " and " +
                   std::to_string(context.shape(i).rank()));
    rank = context.shape(i).rank();
  }
  if (rank < 0) return context.out(0, context.type(0));
  if (rank == 0) context.fail("scalars cannot be concatenated");
  const int axis = normalize_axis(context, context.attributes().get_int("axis"), rank);
  Shape result(static_cast<size_t>(rank), Dim{0});
  std::optional<Shape> items = Shape{};
  bool first = true;
  for (int i = 0; i < inputs; ++i) {
    const Shape shape = context.has_shape(i) ? context.shape(i) : unknown_shape(context, rank);
    for (int d = 0; d < rank; ++d) {
      if (d == axis) {
        result[d] = context.symbols.add(result[d], shape[d]);
      } else if (first || (!is_known(result[d]) && is_known(shape[d]))) {
        result[d] = shape[d];
      } else if (is_known(result[d]) && is_known(shape[d]) && result[d] != shape[d]) {
        context.fail("the inputs' sizes differ outside of axis " + std::to_string(axis) + ": " +
                     std::to_string(result[d]) + " and " + std::to_string(shape[d]) + " on axis " + std::to_string(d));
      }
    }
    first = false;
    const auto dims = rank == 1 ? context.dims(i) : std::nullopt;
    if (!dims) items.reset();
    if (items)
      for (Dim dim : *dims) items->push_back(dim);
  }
  context.out(0, context.type(0), result);
  if (rank == 1 && items) context.out_dims(0, *items);
}

// In blocks of channels only the last input may end inside a block.
Refusal whole_blocks(const OpContext& context, std::span<const TensorDesc> parts, const TensorDesc& whole, int axis) {
  const int block = channel_block(whole.layout);
  if (axis != 1 || block == 1) return std::nullopt;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (parts[i].shape[1] % block != 0)
      return std::to_string(parts[i].shape[1]) + " channels of part " + std::to_string(i) + " are no multiple of " +
             std::to_string(block) + " (" + context.node.op_type + " along the channels)";
  }
  return std::nullopt;
}

Refusal accept_concat(const OpContext& context) {
  const TensorDesc& dst = context.out(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis"), dst.shape.rank());
  return whole_blocks(context, context.inputs.first(static_cast<size_t>(context.num_inputs())), dst, axis);
}

// Rows and widths of parts that lie side by side along the axis, in elements of memory.
kernels::Segments segments_of(const TensorDesc& whole, std::span<const TensorDesc> parts, int axis) {
  const int at = memory_axis(axis, whole.shape.rank(), whole.layout);
  const Shape dims = memory_dims(whole.shape, whole.layout);
  std::vector<int64_t> widths;
  for (const TensorDesc& part : parts) {
    const Shape part_dims = memory_dims(part.shape, whole.layout);
    widths.push_back(part_dims.count(at, part_dims.rank()));
  }
  return kernels::Segments(whole.type, dims.count(0, at), widths);
}

std::unique_ptr<Kernel> prepare_concat(const OpContext& context) {
  const TensorDesc& dst = context.out(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis"), dst.shape.rank());
  auto segments = segments_of(dst, context.inputs.first(static_cast<size_t>(context.num_inputs())), axis);
  std::vector<int64_t> offsets = segments.offsets();
  const auto run = [segments = std::move(segments)](const KernelArgs& args) {
    segments.join(args.pointers, args.pointers[args.num_inputs], args.parallel);
  };
  if (offsets.empty()) return make_kernel(run);
  return make_parts_kernel(PartsKernel::Kind::Join, std::move(offsets), run);
}

// ---- Split ---------------------------------------------------------------------------------------------------------

void infer_split(InferContext& context) {
  const int outputs = context.num_outputs();
  const auto sizes = context.dims(1);
  const int64_t parts = context.attributes().get_int("num_outputs", outputs);
  if (parts != outputs && !context.has_input(1))
    context.fail("num_outputs is " + std::to_string(parts) + " and the node has " + std::to_string(outputs) +
                 " outputs");
  if (!context.has_shape(0)) {
    for (int i = 0; i < outputs; ++i) context.out(i, context.type(0));
    return;
  }
  const Shape& shape = context.shape(0);
  const int axis = normalize_axis(context, context.attributes().get_int("axis", 0), shape.rank());
  if (sizes && static_cast<int>(sizes->size()) != outputs)
    context.fail("split has " + std::to_string(sizes->size()) + " items and the node has " + std::to_string(outputs) +
                 " outputs");
  if (sizes && sizes->is_concrete() && is_known(shape[axis])) {
    int64_t sum = 0;
    for (Dim size : *sizes) sum += size;
    if (sum != shape[axis])
      context.fail("split " + to_string(*sizes, context.symbols) + " does not add up to " +
                   std::to_string(shape[axis]) + ", the size of axis " + std::to_string(axis));
  }
  const auto items = context.dims(0);
  Dim start = 0;
  for (int i = 0; i < outputs; ++i) {
    Shape part = shape;
    if (sizes) {
      part[axis] = (*sizes)[static_cast<size_t>(i)];
      if (part[axis] < 0 && !is_symbol(part[axis]))
        context.fail("split " + to_string(*sizes, context.symbols) + " has a negative size");
    } else if (context.has_input(1)) {
      part[axis] = context.unknown();
    } else if (is_known(shape[axis])) {
      const int64_t chunk = (shape[axis] + outputs - 1) / outputs;
      part[axis] = std::clamp<int64_t>(shape[axis] - i * chunk, 0, chunk);
    } else {
      // The last one may be smaller.
      part[axis] = i + 1 < outputs || outputs == 1 ? context.symbols.div_ceil(shape[axis], outputs) : context.unknown();
    }
    if (items && shape.rank() == 1 && is_known(part[0]) && is_known(start) &&
        start + part[0] <= static_cast<int64_t>(items->size())) {
      context.out_dims(i, Shape(std::span<const Dim>(items->data() + start, static_cast<size_t>(part[0]))));
    }
    start = context.symbols.add(start, part[axis]);
    context.out(i, context.type(0), part);
  }
}

// The outputs as parts of the input; an output that is left out has its place too.
std::vector<TensorDesc> split_parts(const OpContext& context, int axis) {
  std::vector<TensorDesc> parts(static_cast<size_t>(context.num_outputs()), context.in(0));
  const int64_t size = context.shape(0)[axis], count = context.num_outputs();
  const auto sizes = context.has_input(1) ? context.ints(1) : InlineVector<int64_t, 8>{};
  const int64_t chunk = (size + count - 1) / count;
  for (int64_t i = 0; i < count; ++i)
    parts[static_cast<size_t>(i)].shape[axis] =
        context.has_input(1) ? sizes[static_cast<size_t>(i)] : std::clamp<int64_t>(size - i * chunk, 0, chunk);
  return parts;
}

Refusal accept_split(const OpContext& context) {
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), context.shape(0).rank());
  return whole_blocks(context, split_parts(context, axis), context.in(0), axis);
}

std::unique_ptr<Kernel> prepare_split(const OpContext& context) {
  const TensorDesc& src = context.in(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), src.shape.rank());
  auto segments = segments_of(src, split_parts(context, axis), axis);
  std::vector<int64_t> offsets = segments.offsets();
  const auto run = [segments = std::move(segments)](const KernelArgs& args) {
    segments.split(args.pointers[0], args.pointers + args.num_inputs, args.parallel);
  };
  if (offsets.empty()) return make_kernel(run);
  return make_parts_kernel(PartsKernel::Kind::Split, std::move(offsets), run);
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

// A part that lies at `start` along the axis of the whole, copied there or from there.
Refusal gpu_part(GpuWork& work, const TensorDesc& whole, const Shape& part, int axis, int64_t start, bool join,
                 GpuOperand source, GpuOperand destination, const GpuTraits& traits) {
  const kernels::Strides outer = kernels::strides_of(whole.shape), inner = kernels::strides_of(part);
  const int64_t offset = start * outer[static_cast<size_t>(axis)];
  const kernels::StridedCopy copy = join ? kernels::StridedCopy(whole.type, part, inner, outer, 0, offset)
                                         : kernels::StridedCopy(whole.type, part, outer, inner, offset);
  return gpu::add_copy(work, copy, source, destination, traits);
}

Refusal gpu_concat(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const TensorDesc& whole = context.out(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis"), whole.shape.rank());
  int64_t start = 0;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const Shape& part = context.shape(i);
    if (Refusal refusal = gpu_part(work, whole, part, axis, start, true, GpuWork::input(i), GpuWork::output(0), traits))
      return refusal;
    start += part[axis];
  }
  return std::nullopt;
}

Refusal gpu_split(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const TensorDesc& whole = context.in(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 0), whole.shape.rank());
  const std::vector<TensorDesc> parts = split_parts(context, axis);
  int64_t start = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const int index = static_cast<int>(i);
    if (context.has_output(index)) {
      if (Refusal refusal = gpu_part(work, whole, parts[i].shape, axis, start, false, GpuWork::input(0),
                                     GpuWork::output(index), traits))
        return refusal;
    }
    start += parts[i].shape[axis];
  }
  return std::nullopt;
}

constexpr GpuRecipe kGpuConcat{kAllTypes, gpu_concat, /*takes_empty=*/true};
constexpr GpuRecipe kGpuSplit{kAllTypes, gpu_split};

constexpr Candidate kConcat[] = {{"segments", accept_concat, prepare_concat, kAnyLayout}};
constexpr Candidate kSplit[] = {{"segments", accept_split, prepare_split, kAnyLayout, nullptr, 1u << 0}};

}  // namespace

std::span<const OpDef> concat_ops() {
  static const OpDef kOps[] = {
      {"", "Concat", infer_concat, kConcat, kAllTypes, kNone, 0, &kGpuConcat},
      {"", "Split", infer_split, kSplit, kAllTypes, kNone, 1u << 1, &kGpuSplit},
  };
  return kOps;
}

}  // namespace fastort
