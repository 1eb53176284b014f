#include <algorithm>

#include "kernels/move/element.h"
#include "kernels/move/pad.h"
#include "ops/core/move.h"
#include "ops/gpu/map.h"
#include "ops/gpu/move.h"
#include "ops/gpu/typed.h"
#include "ops/parts.h"

namespace fastort {
namespace {

template <kernels::StridedCopy (*make)(const OpContext&)>
std::unique_ptr<Kernel> prepare_copy(const OpContext& context) {
  return make_kernel([copy = make(context)](const KernelArgs& args) {
    copy.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel);
  });
}

// ---- Slice ---------------------------------------------------------------------------------------------------------

struct SliceRange {
  int64_t start, step, count;
};

// numpy's rules: positions are clamped, and a step may be negative.
SliceRange slice_range(int64_t start, int64_t end, int64_t step, int64_t size) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  auto place = [&](int64_t at) { return std::clamp(at < 0 ? at + size : at, low, high); };
  start = place(start);
  end = place(end);
  // Written so that the extreme steps of "all the way" exports do not overflow.
  int64_t count = 0;
  if (step > 0 && end > start) count = (end - start - 1) / step + 1;
  if (step < 0 && end < start) count = (start - end - 1) / (step == INT64_MIN ? INT64_MAX : -step) + 1;
  return {start, step, count};
}

Dim slice_size(const InferContext& context, Dim size, Dim start, Dim end, std::optional<int64_t> step) {
  constexpr int64_t kFar = int64_t{1} << 31;  // exporters write 2^31 - 1 or 2^63 - 1 for "to the end"
  auto number = [](Dim dim) { return !is_symbol(dim) || dim < -(Dim{1} << 61); };
  if (!step) return context.unknown();
  if (is_known(size) && number(start) && number(end)) return slice_range(start, end, *step, size).count;
  if (number(start) && number(end) && *step == -1 && (start == -1 || start >= kFar - 1) && end <= -kFar) return size;
  if (*step < 1) return context.unknown();
  Dim span = 0;
  if (number(start) && start == 0 && number(end) && end >= kFar - 1) {
    span = size;
  } else if (number(start) && start == 0 && end == size) {
    span = size;
  } else if (number(start) && start < 0 && number(end) && end >= kFar - 1 && start > -kFar) {
    span = context.symbols.min(size, -start);
  } else if (number(start) && start > 0 && start < kFar - 1 && number(end) && end >= kFar - 1) {
    span = context.symbols.max(context.symbols.sub(size, start), 0);
  } else if (number(start) && start == 0 && number(end) && end < 0 && end > -kFar) {
    span = context.symbols.max(context.symbols.add(size, end), 0);
  } else if (number(start) && start == 0 && number(end)) {
    span = context.symbols.min(size, end);
  } else {
    return context.unknown();
  }
  return *step == 1 ? span : context.symbols.div_ceil(span, *step);
}

InlineVector<int64_t, 8> slice_axes(const std::optional<InlineVector<int64_t, 8>>& given, size_t count) {
  if (given) return *given;
  InlineVector<int64_t, 8> axes;
  for (size_t i = 0; i < count; ++i) axes.push_back(static_cast<int64_t>(i));
  return axes;
}

// Positions may be numbers so far out that they would read as symbols.
std::optional<Shape> positions(const InferContext& context, int i) {
  if (const auto numbers = context.ints(i)) return Shape(*numbers);
  return context.dims(i);
}

void infer_slice(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape shape = context.shape(0);
  const auto starts = positions(context, 1), ends = positions(context, 2);
  const auto axes_given = context.has_input(3) ? context.ints(3) : std::nullopt;
  const auto steps = context.has_input(4) ? context.ints(4) : std::nullopt;
  const auto length = vector_length(context, 1);
  if ((context.has_input(3) && !axes_given) || !length) {
    return context.out(0, context.type(0), unknown_shape(context, shape.rank()));
  }
  const auto count = static_cast<size_t>(*length);
  if (count > shape.size()) context.fail("starts has more items than the input " + to_string(shape) + " dimensions");
  const auto axes = slice_axes(axes_given, count);
  if ((ends && ends->size() != count) || axes.size() != count || (steps && steps->size() != count))
    context.fail("starts, ends, axes and steps have different numbers of items");
  const auto checked = checked_axes(context.node, axes, shape.rank());
  std::optional<SliceRange> line;
  for (size_t i = 0; i < count; ++i) {
    Dim& size = shape[static_cast<size_t>(checked[i])];
    const std::optional<int64_t> step = !context.has_input(4) ? std::optional<int64_t>(1)
                                        : steps               ? std::optional<int64_t>((*steps)[i])
                                                              : std::nullopt;
    if (step && *step == 0) context.fail("a step is 0");
    if (!starts || !ends) {
      size = context.unknown();
      continue;
    }
    if (shape.rank() == 1 && step && is_known(size) && starts->size() == 1)
      if (const auto start = context.ints(1), end = context.ints(2); start && end)
        line = slice_range((*start)[0], (*end)[0], *step, size);
    size = slice_size(context, size, (*starts)[i], (*ends)[i], step);
  }
  context.out(0, context.type(0), shape);
  const auto items = context.dims(0);
  if (!items || shape.rank() != 1) return;
  if (count == 0) context.out_dims(0, *items);
  if (!line) return;
  Shape kept;
  for (int64_t i = 0; i < line->count; ++i) kept.push_back((*items)[static_cast<size_t>(line->start + i * line->step)]);
  context.out_dims(0, kept);
}

kernels::StridedCopy slice(const OpContext& context) {
  const Shape& src = context.shape(0);
  const auto starts = context.ints(1), ends = context.ints(2);
  std::optional<InlineVector<int64_t, 8>> given;
  if (context.has_input(3)) given = context.ints(3);
  const auto axes = checked_axes(context.node, slice_axes(given, starts.size()), src.rank());
  const auto steps = context.has_input(4) ? context.ints(4) : InlineVector<int64_t, 8>(starts.size(), 1);
  kernels::Strides from = kernels::strides_of(src);
  int64_t offset = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i]);
    const SliceRange range = slice_range(starts[i], ends[i], steps[i], src[axis]);
    offset += range.start * from[axis];
    // A step that leaves the tensor is never taken, but its product must not overflow.
    from[axis] *= range.count > 1 ? range.step : 1;
  }
  const Shape& dst = context.out(0).shape;
  return kernels::StridedCopy(context.type(0), dst, from, kernels::strides_of(dst), offset);
}

// A contiguous piece of the input, or a copy of what it picks.
std::unique_ptr<Kernel> prepare_slice(const OpContext& context) {
  kernels::StridedCopy copy = slice(context);
  const auto run = [copy](const KernelArgs& args) {
    copy.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel);
  };
  const int64_t count = context.out(0).shape.count();
  const Shape& dims = copy.dims();
  int64_t packed = 1;
  bool contiguous = context.type(0) != DataType::String && count > 0;
  for (size_t i = dims.size(); i-- > 0; packed *= dims[i])
    contiguous &= dims[i] == 1 || copy.src_strides()[i] == packed;
  if (!contiguous) return make_kernel(run);
  const auto offset = copy.src_offset() * static_cast<int64_t>(copy.element_bytes());
  return make_parts_kernel(PartsKernel::Kind::Split, {offset}, run);
}

// ---- Pad -----------------------------------------------------------------------------------------------------------

struct PadAmounts {
  kernels::Strides begins, ends;
};

PadAmounts pad_amounts(const Node& node, std::span<const int64_t> pads,
                       const std::optional<InlineVector<int64_t, 8>>& axes_given, int rank) {
  const auto axes = checked_axes(node, slice_axes(axes_given, static_cast<size_t>(rank)), rank);
  if (pads.size() != 2 * axes.size())
    invalid_graph("pads has " + std::to_string(pads.size()) + " items, expected " + std::to_string(2 * axes.size()));
  PadAmounts amounts{kernels::Strides(static_cast<size_t>(rank), 0), kernels::Strides(static_cast<size_t>(rank), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    amounts.begins[static_cast<size_t>(axes[i])] = pads[i];
    amounts.ends[static_cast<size_t>(axes[i])] = pads[axes.size() + i];
  }
  return amounts;
}

kernels::PadMode pad_mode(const Node& node) {
  const std::string mode = node.attributes.get_string("mode", "constant");
  if (mode == "constant") return kernels::PadMode::Constant;
  if (mode == "reflect") return kernels::PadMode::Reflect;
  if (mode == "edge") return kernels::PadMode::Edge;
  if (mode == "wrap") return kernels::PadMode::Wrap;
  invalid_graph("mode '" + mode + "' is none of constant, reflect, edge and wrap");
}

void infer_pad(InferContext& context) {
  const auto mode = pad_mode(context.node);
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape shape = context.shape(0);
  const auto pads = context.ints(1);
  const auto axes = context.has_input(3) ? context.ints(3) : std::nullopt;
  if (!pads || (context.has_input(3) && !axes))
    return context.out(0, context.type(0), unknown_shape(context, shape.rank()));
  const PadAmounts amounts = pad_amounts(context.node, *pads, axes, shape.rank());
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t begin = amounts.begins[i], end = amounts.ends[i];
    constexpr int64_t kMost = int64_t{1} << 28;
    if (begin > kMost || end > kMost || begin < -kMost || end < -kMost)
      context.fail("pads of " + std::to_string(begin) + " and " + std::to_string(end) + " are out of range");
    if (is_known(shape[i])) {
      const int64_t left = shape[i] + std::min<int64_t>(begin, 0) + std::min<int64_t>(end, 0);
      if (left < 0)
        context.fail("negative pads cut more than the size " + std::to_string(shape[i]) + " of axis " +
                     std::to_string(i));
      if (left == 0 && mode != kernels::PadMode::Constant && (begin > 0 || end > 0))
        context.fail("an empty axis " + std::to_string(i) + " can be padded in mode constant only");
    }
    shape[i] = context.symbols.add(shape[i], begin + end);
  }
  context.out(0, context.type(0), shape);
}

kernels::Pad read_pad(const OpContext& context) {
  std::optional<InlineVector<int64_t, 8>> axes;
  if (context.has_input(3)) axes = context.ints(3);
  const PadAmounts amounts = pad_amounts(context.node, context.ints(1), axes, context.shape(0).rank());
  if (context.has_input(2) && context.shape(2).count() != 1) context.fail("constant_value must hold one element");
  return kernels::Pad(context.type(0), pad_mode(context.node), context.shape(0), amounts.begins, amounts.ends);
}

Refusal gpu_pad(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const kernels::Pad pad = read_pad(context);
  std::vector<gpu::MappedDim> dims;
  for (const std::vector<int64_t>& places : pad.maps())
    dims.push_back({static_cast<int64_t>(places.size()), 0, places});
  dims.push_back({pad.inner(), 1, {}});
  const GpuOperand fill = context.has_input(2) ? GpuWork::input(2) : GpuWork::none();
  return gpu::add_map(work, context.type(0), std::move(dims), fill, traits);
}

std::unique_ptr<Kernel> prepare_pad(const OpContext& context) {
  const bool has_value = context.has_input(2);
  kernels::Pad pad = read_pad(context);
  return make_kernel([pad = std::move(pad), has_value](const KernelArgs& args) {
    pad.run(args.pointers[0], args.pointers[args.num_inputs], has_value ? args.pointers[2] : nullptr, args.parallel);
  });
}

// ---- Tile ----------------------------------------------------------------------------------------------------------

void infer_tile(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  Shape shape = context.shape(0);
  const auto repeats = context.dims(1);
  if (!repeats) return context.out(0, context.type(0), unknown_shape(context, shape.rank()));
  if (repeats->size() != shape.size())
    context.fail("repeats has " + std::to_string(repeats->size()) + " items and the input " + to_string(shape) +
                 " another rank");
  for (size_t i = 0; i < shape.size(); ++i) {
    const Dim repeat = (*repeats)[i];
    if (repeat < 0 && !is_symbol(repeat))
      context.fail("repeats " + to_string(*repeats, context.symbols) + " has a negative number");
    shape[i] = context.symbols.mul(shape[i], repeat);
  }
  context.out(0, context.type(0), shape);
}

kernels::StridedCopy tile(const OpContext& context) {
  const Shape& src = context.shape(0);
  const auto repeats = context.ints(1);
  const kernels::Strides strides = kernels::strides_of(src);
  Shape dims;
  kernels::Strides from;
  for (size_t i = 0; i < src.size(); ++i) {
    dims.push_back(repeats[i]);
    from.push_back(0);
    dims.push_back(src[i]);
    from.push_back(strides[i]);
  }
  return kernels::StridedCopy(context.type(0), dims, from, kernels::strides_of(dims));
}

// ---- Trilu ---------------------------------------------------------------------------------------------------------

void infer_trilu(InferContext& context) {
  if (context.has_shape(0) && context.shape(0).rank() < 2)
    context.fail("the input must have at least two dimensions, got " + to_string(context.shape(0)));
  infer_same(context);
}

int64_t diagonal_of(const OpContext& context, int64_t rows, int64_t cols) {
  if (!context.has_input(1)) return 0;
  const auto k = context.ints(1);
  if (k.size() != 1) context.fail("k must hold one element");
  return std::clamp(k[0], -rows - 1, cols + 1);
}

Refusal gpu_trilu(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.shape(0);
  const int64_t rows = shape[shape.size() - 2], cols = shape.back();
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_bytes("trilu", element_size(context.type(0)), traits, shader)) return refusal;
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {context.attributes().get_int("upper", 1) != 0 ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  dispatch.push.u32(shape.count()).u32(rows).u32(cols).i32(diagonal_of(context, rows, cols));
  dispatch.groups = groups_for(shape.count(), 64, traits);
  return std::nullopt;
}

std::unique_ptr<Kernel> prepare_trilu(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const int rank = shape.rank();
  const int64_t lines = shape.count(0, rank - 1), rows = shape[rank - 2], cols = shape[rank - 1];
  const bool upper = context.attributes().get_int("upper", 1) != 0;
  const int64_t diagonal = diagonal_of(context, rows, cols);
  auto typed = [&]<class T>(std::type_identity<T>) -> std::unique_ptr<Kernel> {
    return make_kernel([=](const KernelArgs& args) {
      const T* src = args.in<T>(0);
      T* dst = args.out<T>(0);
      const int64_t grain = kernels::move_grain<T>() / std::max<int64_t>(cols, 1);
      args.parallel.range(lines, grain, [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; ++line) {
          // Kept are the columns from `edge` on (upper) or before it (lower).
          const int64_t edge = std::clamp<int64_t>(line % rows + diagonal + (upper ? 0 : 1), 0, cols);
          const int64_t first = upper ? edge : 0, last = upper ? cols : edge;
          T* to = dst + line * cols;
          std::fill(to, to + first, T{});
          if (src != dst) kernels::copy_run(src + line * cols + first, to + first, last - first);
          std::fill(to + last, to + cols, T{});
        }
      });
    });
  };
  return kernels::with_element(context.type(0), typed);
}

// ---- ReverseSequence -----------------------------------------------------------------------------------------------

struct Sequences {
  int64_t batches, steps, inner;
  bool time_first;
};

Sequences sequences_of(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const int64_t batch_axis = context.attributes().get_int("batch_axis", 1);
  const int64_t time_axis = context.attributes().get_int("time_axis", 0);
  if (shape.rank() < 2 || batch_axis < 0 || batch_axis > 1 || time_axis != 1 - batch_axis)
    context.fail("batch_axis and time_axis must be 0 and 1 or 1 and 0, and the input of rank 2 or more");
  const int64_t batches = shape[static_cast<size_t>(batch_axis)], steps = shape[static_cast<size_t>(time_axis)];
  if (context.shape(1).count() != batches) context.fail("sequence_lens must hold one length for each batch item");
  return {batches, steps, shape.count(2, shape.rank()), time_axis == 0};
}

Refusal gpu_reverse_sequence(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Sequences form = sequences_of(context);
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_bytes("reverse_sequence", element_size(context.type(0)), traits, shader))
    return refusal;
  if (context.type(1) != DataType::Int64) return "lengths of another type than int64";
  const int64_t count = context.shape(0).count();
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {form.time_first ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1)};
  dispatch.push.u32(count).u32(form.steps).u32(form.batches).u32(form.inner);
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}

std::unique_ptr<Kernel> prepare_reverse_sequence(const OpContext& context) {
  const auto [batches, steps, inner, time_first] = sequences_of(context);
  auto typed = [&]<class T>(std::type_identity<T>) -> std::unique_ptr<Kernel> {
    return make_kernel([batches, steps, inner, time_first](const KernelArgs& args) {
      const T* src = args.in<T>(0);
      const int64_t* lengths = args.in<int64_t>(1);
      T* dst = args.out<T>(0);
      for (int64_t b = 0; b < batches; ++b)
        if (lengths[b] < 0 || lengths[b] > steps)
          invalid_argument("ReverseSequence: sequence_lens holds " + std::to_string(lengths[b]) + ", outside [0, " +
                           std::to_string(steps) + "]");
      args.parallel.range(batches * steps, kernels::move_grain<T>() / std::max<int64_t>(inner, 1),
                          [&](int64_t begin, int64_t end) {
                            for (int64_t i = begin; i < end; ++i) {
                              const int64_t b = time_first ? i % batches : i / steps;
                              const int64_t t = time_first ? i / batches : i % steps;
                              const int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t;
                              const int64_t at = time_first ? from * batches + b : b * steps + from;
                              kernels::copy_run(src + at * inner, dst + i * inner, inner);
                            }
                          });
    });
  };
  return kernels::with_element(context.type(0), typed);
}

constexpr GpuRecipe kGpuReverseSequence{kAllTypes, gpu_reverse_sequence};
constexpr GpuRecipe kGpuPad{kAllTypes, gpu_pad};
constexpr GpuRecipe kGpuTrilu{kAllTypes, gpu_trilu};

constexpr Candidate kSlice[] = {{"strided_copy", nullptr, prepare_slice}};
constexpr Candidate kPad[] = {{"pad", nullptr, prepare_pad}};
constexpr Candidate kTile[] = {{"strided_copy", nullptr, prepare_copy<tile>}};
constexpr Candidate kTrilu[] = {{"trilu", nullptr, prepare_trilu}};
constexpr Candidate kReverseSequence[] = {{"rows", nullptr, prepare_reverse_sequence}};

}  // namespace

std::span<const OpDef> slice_ops() {
  static const OpDef kOps[] = {
      {"", "Slice", infer_slice, kSlice, kAllTypes, kNone, 0b11110, &gpu::kCopy<slice>},
      {"", "Pad", infer_pad, kPad, kAllTypes, kNone, 0b1010, &kGpuPad},
      {"", "Tile", infer_tile, kTile, kAllTypes, kNone, 1u << 1, &gpu::kCopy<tile>},
      {"", "Trilu", infer_trilu, kTrilu, kAllTypes, kInPlace, 1u << 1, &kGpuTrilu},
      {"", "ReverseSequence", infer_same, kReverseSequence, kAllTypes, kNone, 0, &kGpuReverseSequence},
  };
  return kOps;
}

}  // namespace fastort
