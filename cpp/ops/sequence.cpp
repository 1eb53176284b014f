#include <algorithm>

#include "kernels/move/segments.h"
#include "ops/core/move.h"

namespace fastort {
namespace {

// An item of a sequence or an optional outlives the step that made it.
Value kept(Value value) {
  if (value.is_tensor() && value.tensor().buffer() && value.tensor().buffer()->borrowed())
    return value.tensor().clone();
  return value;
}

const Sequence& sequence_of(const KernelArgs& args, const Value& value, const char* op) {
  if (value.empty()) invalid_argument(std::string(op) + ": the optional sequence is empty");
  if (!value.is_sequence())
    invalid_argument(std::string(op) + ": input 0 of " + std::to_string(args.num_inputs) + " is no sequence");
  return value.sequence();
}

// The value of the position at input i, counted from the front; `size` positions exist.
int64_t position_of(const KernelArgs& args, int i, int64_t size, const char* op) {
  const int64_t position = scalar_as_int(tensor_of(args.frame->input(i), op));
  return checked_index(op, position, size);
}

ValueType item_type(const ValueType& sequence) {
  if (sequence.kind == ValueKind::Optional && sequence.inner) return item_type(*sequence.inner);
  return sequence.kind == ValueKind::Sequence && sequence.inner ? *sequence.inner : ValueType{};
}

// The type of an item that is one of two: what they have in common.
ValueType common_type(const InferContext& context, const ValueType& a, const ValueType& b) {
  if (a.kind == ValueKind::Unknown) return b;
  if (b.kind == ValueKind::Unknown) return a;
  if (a.kind != b.kind || a.element != b.element)
    context.fail("a sequence cannot hold both " + type_string(a) + " and " + type_string(b));
  ValueType common = a;
  common.has_shape = a.has_shape && b.has_shape && a.shape.size() == b.shape.size();
  if (!common.has_shape) common.shape.clear();
  for (size_t i = 0; i < common.shape.size(); ++i)
    if (a.shape[i] != b.shape[i]) common.shape[i] = context.unknown();
  return common;
}

// ---- making sequences ----------------------------------------------------------------------------------------------

void infer_construct(InferContext& context) {
  ValueType item;
  for (int i = 0; i < context.num_inputs(); ++i) item = common_type(context, item, context.in(i));
  context.outputs[0] = ValueType::sequence(item);
}

std::unique_ptr<Kernel> prepare_construct(const OpContext& context) {
  return make_kernel([count = context.num_inputs()](const KernelArgs& args) {
    auto sequence = std::make_shared<Sequence>();
    for (int i = 0; i < count; ++i) sequence->items.push_back(kept(args.frame->input(i)));
    if (count > 0 && sequence->items[0].is_tensor()) sequence->element = sequence->items[0].tensor().type();
    args.frame->set_output(0, std::shared_ptr<const Sequence>(std::move(sequence)));
  });
}

void infer_empty(InferContext& context) {
  context.outputs[0] = ValueType::sequence(ValueType::tensor(type_attribute(context.node, "dtype", DataType::Float)));
}

std::unique_ptr<Kernel> prepare_empty(const OpContext& context) {
  return make_kernel([type = type_attribute(context.node, "dtype", DataType::Float)](const KernelArgs& args) {
    auto sequence = std::make_shared<Sequence>();
    sequence->element = type;
    args.frame->set_output(0, std::shared_ptr<const Sequence>(std::move(sequence)));
  });
}

void infer_insert(InferContext& context) {
  context.outputs[0] = ValueType::sequence(common_type(context, item_type(context.in(0)), context.in(1)));
}

std::unique_ptr<Kernel> prepare_insert(const OpContext& context) {
  return make_kernel([has_position = context.has_input(2)](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    auto sequence = std::make_shared<Sequence>(sequence_of(args, input, "SequenceInsert"));
    Value item = kept(args.frame->input(1));
    if (item.is_tensor()) {
      const DataType type = item.tensor().type();
      if (sequence->element != DataType::Undefined && sequence->element != type)
        invalid_argument("SequenceInsert: the sequence holds " + std::string(name(sequence->element)) +
                         " tensors, the new one is " + describe(item.tensor()));
      sequence->element = type;
    }
    const auto count = static_cast<int64_t>(sequence->items.size());
    int64_t at = count;
    if (has_position) {
      at = scalar_as_int(tensor_of(args.frame->input(2), "SequenceInsert"));
      if (at < -count || at > count)
        invalid_argument("SequenceInsert: position " + std::to_string(at) + " is outside [" + std::to_string(-count) +
                         ", " + std::to_string(count) + "]");
      if (at < 0) at += count;
    }
    sequence->items.insert(sequence->items.begin() + at, std::move(item));
    args.frame->set_output(0, std::shared_ptr<const Sequence>(std::move(sequence)));
  });
}

std::unique_ptr<Kernel> prepare_erase(const OpContext& context) {
  return make_kernel([has_position = context.has_input(1)](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    auto sequence = std::make_shared<Sequence>(sequence_of(args, input, "SequenceErase"));
    const auto count = static_cast<int64_t>(sequence->items.size());
    if (count == 0) invalid_argument("SequenceErase: the sequence is empty");
    const int64_t at = has_position ? position_of(args, 1, count, "SequenceErase: position") : count - 1;
    sequence->items.erase(sequence->items.begin() + at);
    args.frame->set_output(0, std::shared_ptr<const Sequence>(std::move(sequence)));
  });
}

// ---- reading sequences ---------------------------------------------------------------------------------------------

void infer_at(InferContext& context) { context.outputs[0] = item_type(context.in(0)); }

std::unique_ptr<Kernel> prepare_at(const OpContext&) {
  return make_kernel([](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Sequence& sequence = sequence_of(args, input, "SequenceAt");
    const auto count = static_cast<int64_t>(sequence.items.size());
    const int64_t at = position_of(args, 1, count, "SequenceAt: position");
    args.frame->set_output(0, sequence.items[static_cast<size_t>(at)]);
  });
}

void infer_length(InferContext& context) { context.out(0, DataType::Int64, Shape{}); }

std::unique_ptr<Kernel> prepare_length(const OpContext&) {
  return make_kernel([](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const auto count = static_cast<int64_t>(sequence_of(args, input, "SequenceLength").items.size());
    *args.frame->allocate_output(0, DataType::Int64, Shape{}).data<int64_t>() = count;
  });
}

// ---- SplitToSequence, ConcatFromSequence ---------------------------------------------------------------------------

void infer_split_to_sequence(InferContext& context) {
  if (!context.has_shape(0)) {
    context.outputs[0] = ValueType::sequence(ValueType::tensor(context.type(0)));
    return;
  }
  Shape shape = context.shape(0);
  const int axis = normalize_axis(context, context.attributes().get_int("axis", 0), shape.rank());
  if (context.has_input(1)) {
    shape[static_cast<size_t>(axis)] = context.unknown();
  } else if (context.attributes().get_int("keepdims", 1) == 0) {
    shape.erase(static_cast<size_t>(axis));
  } else {
    shape[static_cast<size_t>(axis)] = 1;
  }
  context.outputs[0] = ValueType::sequence(ValueType::tensor(context.type(0), shape));
}

// The parts' sizes: ones, equal chunks of a scalar's size, or those of a vector.
std::vector<int64_t> part_sizes(const Tensor* split, int64_t size) {
  if (!split) return std::vector<int64_t>(static_cast<size_t>(size), 1);
  const auto given = to_int64s(*split);
  if (split->shape().rank() == 0) {
    if (given[0] < 1) invalid_argument("SplitToSequence: split is " + std::to_string(given[0]));
    std::vector<int64_t> sizes;
    for (int64_t left = size; left > 0; left -= given[0]) sizes.push_back(std::min(left, given[0]));
    return sizes;
  }
  int64_t left = size;
  for (int64_t part : given) {
    if (part < 0 || part > left)
      invalid_argument("SplitToSequence: split " + to_string(Shape(given)) + " does not add up to " +
                       std::to_string(size));
    left -= part;
  }
  if (left != 0)
    invalid_argument("SplitToSequence: split " + to_string(Shape(given)) + " does not add up to " +
                     std::to_string(size));
  return {given.begin(), given.end()};
}

std::unique_ptr<Kernel> prepare_split_to_sequence(const OpContext& context) {
  const int64_t given_axis = context.attributes().get_int("axis", 0);
  const bool has_split = context.has_input(1);
  const bool drop_axis = !has_split && context.attributes().get_int("keepdims", 1) == 0;
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0), split = has_split ? args.frame->input(1) : Value();
    const Tensor& tensor = tensor_of(input, "SplitToSequence");
    const Shape& shape = tensor.shape();
    const auto axis = static_cast<size_t>(checked_index("SplitToSequence: axis", given_axis, shape.rank()));
    const auto sizes = part_sizes(has_split ? &tensor_of(split, "SplitToSequence") : nullptr, shape[axis]);
    const int64_t inner = shape.count(static_cast<int>(axis) + 1, shape.rank());
    auto sequence = std::make_shared<Sequence>();
    sequence->element = tensor.type();
    std::vector<int64_t> widths;
    std::vector<std::byte*> parts;
    for (int64_t size : sizes) {
      Shape part = shape;
      part[axis] = size;
      if (drop_axis) part.erase(axis);
      Tensor item(tensor.type(), part);
      widths.push_back(size * inner);
      parts.push_back(item.raw());
      sequence->items.push_back(std::move(item));
    }
    kernels::Segments(tensor.type(), shape.count(0, static_cast<int>(axis)), widths)
        .split(tensor.raw(), parts.data(), args.parallel);
    args.frame->set_output(0, std::shared_ptr<const Sequence>(std::move(sequence)));
  });
}

void infer_concat_from_sequence(InferContext& context) {
  const ValueType item = item_type(context.in(0));
  const int64_t axis = context.attributes().get_int("axis");
  const bool new_axis = context.attributes().get_int("new_axis", 0) != 0;
  if (!item.has_shape) return context.out(0, item.element);
  Shape shape = item.shape;
  const int rank = shape.rank() + (new_axis ? 1 : 0);
  const auto at = static_cast<size_t>(normalize_axis(context, axis, rank));
  if (new_axis)
    shape.insert(at, context.unknown());
  else
    shape[at] = context.unknown();
  context.out(0, item.element, shape);
}

std::unique_ptr<Kernel> prepare_concat_from_sequence(const OpContext& context) {
  const int64_t given_axis = context.attributes().get_int("axis");
  const bool new_axis = context.attributes().get_int("new_axis", 0) != 0;
  return make_kernel([=](const KernelArgs& args) {
    const Value input = args.frame->input(0);
    const Sequence& sequence = sequence_of(args, input, "ConcatFromSequence");
    if (sequence.items.empty()) invalid_argument("ConcatFromSequence: the sequence is empty");
    const Tensor& first = tensor_of(sequence.items[0], "ConcatFromSequence");
    const int rank = first.shape().rank() + (new_axis ? 1 : 0);
    const auto axis = static_cast<size_t>(checked_index("ConcatFromSequence: axis", given_axis, rank));
    Shape whole = first.shape();
    if (new_axis) whole.insert(axis, 0);
    whole[axis] = 0;
    std::vector<int64_t> widths;
    std::vector<const std::byte*> parts;
    for (const Value& item : sequence.items) {
      const Tensor& tensor = tensor_of(item, "ConcatFromSequence");
      Shape part = tensor.shape();
      if (new_axis && part.rank() + 1 == rank) part.insert(axis, 1);
      bool fits = tensor.type() == first.type() && part.rank() == rank;
      for (size_t d = 0; fits && d < part.size(); ++d) fits = d == axis || part[d] == whole[d];
      if (!fits)
        invalid_argument("ConcatFromSequence: items " + describe(first) + " and " + describe(tensor) +
                         " do not fit together on axis " + std::to_string(given_axis));
      whole[axis] += part[axis];
      widths.push_back(part.count(static_cast<int>(axis), rank));
      parts.push_back(tensor.raw());
    }
    Tensor result = args.frame->allocate_output(0, first.type(), whole);
    kernels::Segments(first.type(), whole.count(0, static_cast<int>(axis)), widths)
        .join(parts.data(), result.raw(), args.parallel);
  });
}

// ---- Optional ------------------------------------------------------------------------------------------------------

void infer_optional(InferContext& context) {
  ValueType inner;
  if (context.has_input(0)) {
    inner = context.in(0);
  } else {
    const Attribute* type = context.attributes().find("type");
    if (!type || !std::holds_alternative<ValueType>(*type))
      context.fail("without an input, the attribute type is needed");
    inner = std::get<ValueType>(*type);
  }
  context.outputs[0] = ValueType::optional(inner);
}

std::unique_ptr<Kernel> prepare_optional(const OpContext& context) {
  return make_kernel([has_input = context.has_input(0)](const KernelArgs& args) {
    args.frame->set_output(0, has_input ? kept(args.frame->input(0)) : Value());
  });
}

void infer_get_element(InferContext& context) {
  const ValueType& type = context.in(0);
  context.outputs[0] = type.kind == ValueKind::Optional && type.inner ? *type.inner : type;
}

std::unique_ptr<Kernel> prepare_get_element(const OpContext&) {
  return make_kernel([](const KernelArgs& args) {
    Value value = args.frame->input(0);
    if (value.empty()) invalid_argument("OptionalGetElement: the optional is empty; test it with OptionalHasElement");
    args.frame->set_output(0, std::move(value));
  });
}

void infer_has_element(InferContext& context) { context.out(0, DataType::Bool, Shape{}); }

std::unique_ptr<Kernel> prepare_has_element(const OpContext& context) {
  return make_kernel([has_input = context.has_input(0)](const KernelArgs& args) {
    const bool has = has_input && !args.frame->input(0).empty();
    *args.frame->allocate_output(0, DataType::Bool, Shape{}).data<bool>() = has;
  });
}

constexpr Candidate kConstruct[] = {{"values", nullptr, prepare_construct}};
constexpr Candidate kEmpty[] = {{"values", nullptr, prepare_empty}};
constexpr Candidate kInsert[] = {{"values", nullptr, prepare_insert}};
constexpr Candidate kErase[] = {{"values", nullptr, prepare_erase}};
constexpr Candidate kAt[] = {{"values", nullptr, prepare_at}};
constexpr Candidate kLength[] = {{"values", nullptr, prepare_length}};
constexpr Candidate kSplitToSequence[] = {{"segments", nullptr, prepare_split_to_sequence}};
constexpr Candidate kConcatFromSequence[] = {{"segments", nullptr, prepare_concat_from_sequence}};
constexpr Candidate kOptional[] = {{"values", nullptr, prepare_optional}};
constexpr Candidate kGetElement[] = {{"values", nullptr, prepare_get_element}};
constexpr Candidate kHasElement[] = {{"values", nullptr, prepare_has_element}};

}  // namespace

std::span<const OpDef> sequence_ops() {
  static const OpDef kOps[] = {
      {"", "SequenceConstruct", infer_construct, kConstruct, kAllTypes, kDynamic},
      {"", "SequenceEmpty", infer_empty, kEmpty, kAllTypes, kDynamic},
      {"", "SequenceInsert", infer_insert, kInsert, kAllTypes, kDynamic},
      {"", "SequenceErase", infer_same, kErase, kAllTypes, kDynamic},
      {"", "SequenceAt", infer_at, kAt, kAllTypes, kDynamic},
      {"", "SequenceLength", infer_length, kLength, kAllTypes, kDynamic},
      {"", "SplitToSequence", infer_split_to_sequence, kSplitToSequence, kAllTypes, kDynamic},
      {"", "ConcatFromSequence", infer_concat_from_sequence, kConcatFromSequence, kAllTypes, kDynamic},
      {"", "Optional", infer_optional, kOptional, kAllTypes, kDynamic},
      {"", "OptionalGetElement", infer_get_element, kGetElement, kAllTypes, kDynamic},
      {"", "OptionalHasElement", infer_has_element, kHasElement, kAllTypes, kDynamic},
  };
  return kOps;
}

}  // namespace fastort
