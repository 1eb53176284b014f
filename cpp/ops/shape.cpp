#include <algorithm>

#include "ops/core/move.h"
#include "ops/gpu/move.h"

namespace fastort {
namespace {

// ---- Shape, Size ---------------------------------------------------------------------------------------------------

void infer_shape(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, DataType::Int64, {context.unknown()});
  const Shape& shape = context.shape(0);
  const int64_t rank = shape.rank();
  auto place = [rank](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = place(context.attributes().get_int("start", 0));
  const int64_t end = std::max(start, place(context.attributes().get_int("end", rank)));
  Shape dims(std::span<const Dim>(shape.data() + start, static_cast<size_t>(end - start)));
  context.out(0, DataType::Int64, {end - start});
  context.out_dims(0, dims);
}

std::unique_ptr<Kernel> prepare_shape(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const int64_t rank = shape.rank();
  const int64_t start = context.attributes().get_int("start", 0);
  const int64_t first = std::clamp<int64_t>(start < 0 ? start + rank : start, 0, rank);
  Shape dims(std::span<const Dim>(shape.data() + first, static_cast<size_t>(context.out(0).shape.count())));
  return make_kernel([dims](const KernelArgs& args) { std::copy(dims.begin(), dims.end(), args.out<int64_t>(0)); });
}

void infer_size(InferContext& context) {
  context.out(0, DataType::Int64, Shape{});
  if (context.has_shape(0)) context.out_dims(0, {product(context, context.shape(0), 0, context.shape(0).rank())});
}

std::unique_ptr<Kernel> prepare_size(const OpContext& context) {
  const int64_t count = context.shape(0).count();
  return make_kernel([count](const KernelArgs& args) { *args.out<int64_t>(0) = count; });
}

// ---- the same memory under another shape ---------------------------------------------------------------------------

// The size that stands for -1: the input's elements over the other sizes. Symbols found on both sides cancel.
Dim remaining_size(const InferContext& context, const Shape& input, const Shape& target, int inferred) {
  int64_t known_input = 1, known_target = 1;
  Shape input_symbols, target_symbols;
  for (Dim dim : input) {
    if (is_known(dim))
      known_input *= dim;
    else
      input_symbols.push_back(dim);
  }
  for (int i = 0; i < target.rank(); ++i) {
    if (i == inferred) continue;
    if (is_known(target[i])) {
      known_target *= target[i];
      continue;
    }
    const auto same = std::find(input_symbols.begin(), input_symbols.end(), target[i]);
    if (same != input_symbols.end())
      input_symbols.erase(static_cast<size_t>(same - input_symbols.begin()));
    else
      target_symbols.push_back(target[i]);
  }
  if (known_target == 0) return context.unknown();
  if (target_symbols.empty() && input_symbols.empty()) {
    if (known_input % known_target != 0)
      context.fail("the input " + to_string(input) + " cannot be reshaped to " + to_string(target) +
                   ": its elements do not divide by the other sizes");
    return known_input / known_target;
  }
  const int64_t common = known_input % known_target == 0 ? known_target : 1;
  Dim result = known_input / common;
  known_target /= common;
  for (Dim symbol : input_symbols) result = context.symbols.mul(result, symbol);
  Dim divisor = known_target;
  for (Dim symbol : target_symbols) divisor = context.symbols.mul(divisor, symbol);
  return context.symbols.div_floor(result, divisor);
}

void infer_reshape(InferContext& context) {
  const auto wanted = context.dims(1);
  if (!wanted) {
    const auto length = vector_length(context, 1);
    if (!length) return context.out(0, context.type(0));
    return context.out(0, context.type(0), unknown_shape(context, *length));
  }
  if (context.has_shape(1) && context.shape(1).rank() != 1)
    context.fail("shape must have one dimension, got " + to_string(context.shape(1)));
  const bool allow_zero = context.attributes().get_int("allowzero", 0) != 0;
  Shape target = *wanted;
  int inferred = -1;
  bool has_zero = false;
  for (int i = 0; i < target.rank(); ++i) {
    if (is_symbol(target[i])) continue;
    if (target[i] == -1) {
      if (inferred >= 0) context.fail("shape " + to_string(*wanted, context.symbols) + " has more than one -1");
      inferred = i;
    } else if (target[i] < 0) {
      context.fail("shape " + to_string(*wanted, context.symbols) + " has a negative size");
    } else if (target[i] == 0 && allow_zero) {
      has_zero = true;
    } else if (target[i] == 0) {
      if (!context.has_shape(0)) {
        target[i] = context.unknown();
      } else if (i >= context.shape(0).rank()) {
        context.fail("shape " + to_string(*wanted, context.symbols) + " copies dimension " + std::to_string(i) +
                     ", which the input " + to_string(context.shape(0)) + " lacks");
      } else {
        target[i] = context.shape(0)[i];
      }
    }
  }
  if (has_zero && inferred >= 0)
    context.fail("shape " + to_string(*wanted, context.symbols) + " has both -1 and 0 under allowzero=1");
  if (inferred >= 0) {
    target[inferred] =
        context.has_shape(0) ? remaining_size(context, context.shape(0), target, inferred) : context.unknown();
    // Of an empty tensor nothing can be said but that it stays empty.
    if (context.has_shape(0) && context.shape(0).is_concrete() && !is_known(target[inferred])) {
      bool others_known = true;
      for (int i = 0; i < target.rank(); ++i) others_known = others_known && (i == inferred || is_known(target[i]));
      if (others_known) target[inferred] = 0;
    }
  }
  if (context.has_shape(0) && context.shape(0).is_concrete() && target.is_concrete()) {
    const auto have = checked_count(context.shape(0)), want = checked_count(target);
    if (!have || !want || *have != *want)
      context.fail("the input " + to_string(context.shape(0)) + " cannot be reshaped to " + to_string(target) +
                   ": the numbers of elements differ");
  }
  if (target.rank() <= 1) {
    if (const auto dims = context.dims(0)) context.out_dims(0, *dims);
  }
  context.out(0, context.type(0), std::move(target));
}

void infer_flatten(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, context.type(0), unknown_shape(context, 2));
  const Shape& shape = context.shape(0);
  int64_t axis = context.attributes().get_int("axis", 1);
  if (axis < -shape.rank() || axis > shape.rank())
    context.fail("axis " + std::to_string(axis) + " is outside [-rank, rank] of " + to_string(shape));
  if (axis < 0) axis += shape.rank();
  context.out(0, context.type(0),
              {product(context, shape, 0, static_cast<int>(axis)),
               product(context, shape, static_cast<int>(axis), shape.rank())});
}

void infer_squeeze(InferContext& context) {
  if (const auto dims = context.dims(0)) {
    if (dims->size() == 1 || !context.has_input(1)) context.out_dims(0, *dims);
  }
  const auto axes = context.has_input(1) ? context.ints(1) : std::nullopt;
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  const Shape& shape = context.shape(0);
  if (context.has_input(1) && !axes) {
    const auto length = vector_length(context, 1);
    if (!length) return context.out(0, context.type(0));
    if (*length > shape.rank()) context.fail("axes has more items than the input " + to_string(shape) + " dimensions");
    return context.out(0, context.type(0), unknown_shape(context, shape.rank() - *length));
  }
  Shape result;
  if (!axes) {
    if (!shape.is_concrete()) return context.out(0, context.type(0));
    for (Dim dim : shape)
      if (dim != 1) result.push_back(dim);
    return context.out(0, context.type(0), result);
  }
  const auto dropped = checked_axes(context.node, *axes, shape.rank());
  for (int i = 0; i < shape.rank(); ++i) {
    if (std::find(dropped.begin(), dropped.end(), i) == dropped.end()) {
      result.push_back(shape[i]);
    } else if (is_known(shape[i]) && shape[i] != 1) {
      context.fail("axis " + std::to_string(i) + " of " + to_string(shape) + " is not of size 1");
    }
  }
  context.out(0, context.type(0), result);
}

void infer_unsqueeze(InferContext& context) {
  const auto axes = context.ints(1);
  if (const auto dims = context.dims(0);
      dims && axes && dims->size() == 1 && axes->size() == 1 && context.has_shape(0) && context.shape(0).rank() == 0) {
    context.out_dims(0, *dims);
  }
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  const Shape& shape = context.shape(0);
  if (!axes) {
    const auto length = vector_length(context, 1);
    if (!length) return context.out(0, context.type(0));
    return context.out(0, context.type(0), unknown_shape(context, shape.rank() + *length));
  }
  const int rank = shape.rank() + static_cast<int>(axes->size());
  const auto added = checked_axes(context.node, *axes, rank);
  Shape result;
  for (int i = 0, next = 0; i < rank; ++i)
    result.push_back(std::find(added.begin(), added.end(), i) != added.end() ? 1 : shape[next++]);
  context.out(0, context.type(0), result);
}

// ---- Expand --------------------------------------------------------------------------------------------------------

void infer_expand(InferContext& context) {
  const auto target = context.dims(1);
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  if (!target) {
    const auto length = vector_length(context, 1);
    if (!length) return context.out(0, context.type(0));
    return context.out(0, context.type(0), unknown_shape(context, std::max<int64_t>(*length, context.shape(0).rank())));
  }
  for (Dim dim : *target)
    if (dim < 0 && !is_symbol(dim))
      context.fail("shape " + to_string(*target, context.symbols) + " has a negative size");
  context.out(0, context.type(0), broadcast_shapes(context, context.shape(0), *target));
  if (const auto dims = context.dims(0); dims && dims->size() == 1 && context.outputs[0].shape.rank() == 1) {
    const Dim count = context.outputs[0].shape[0];
    if (is_known(count) && count <= 64) context.out_dims(0, Shape(static_cast<size_t>(count), (*dims)[0]));
  }
}

kernels::StridedCopy expand(const OpContext& context) {
  const Shape &src = context.shape(0), &dst = context.out(0).shape;
  const kernels::Strides strides = kernels::strides_of(src);
  kernels::Strides from(dst.size(), 0);
  const int shift = dst.rank() - src.rank();
  for (int i = 0; i < src.rank(); ++i) from[i + shift] = src[i] == 1 ? 0 : strides[i];
  return kernels::StridedCopy(context.type(0), dst, from, kernels::strides_of(dst));
}

std::unique_ptr<Kernel> prepare_expand(const OpContext& context) {
  return make_kernel([copy = expand(context)](const KernelArgs& args) {
    copy.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel);
  });
}

constexpr Candidate kShape[] = {{"shape", nullptr, prepare_shape}};
constexpr Candidate kSize[] = {{"size", nullptr, prepare_size}};
constexpr Candidate kExpand[] = {{"broadcast", nullptr, prepare_expand}};

}  // namespace

std::span<const OpDef> shape_ops() {
  static const OpDef kOps[] = {
      {"", "Shape", infer_shape, kShape},
      {"", "Size", infer_size, kSize},
      {"", "Reshape", infer_reshape, kCopyOnly, kAllTypes, kView, 1u << 1},
      {"", "Flatten", infer_flatten, kCopyOnly, kAllTypes, kView},
      {"", "Squeeze", infer_squeeze, kCopyOnly, kAllTypes, kView, 1u << 1},
      {"", "Unsqueeze", infer_unsqueeze, kCopyOnly, kAllTypes, kView, 1u << 1},
      {"", "Expand", infer_expand, kExpand, kAllTypes, kNone, 1u << 1, &gpu::kCopy<expand>},
  };
  return kOps;
}

}  // namespace fastort
