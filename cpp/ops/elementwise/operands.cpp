#include "ops/elementwise/operands.h"

#include <cstring>

namespace fastort::elementwise {
namespace {

using Strides = kernels::Broadcast::Strides;

// Sizes of the dimensions as they lie in memory.
InlineVector<int64_t, 8> physical_dims(const Shape& shape, Layout layout) {
  InlineVector<int64_t, 8> dims;
  if (layout == Layout::Plain) {
    for (Dim dim : shape) dims.push_back(dim);
    return dims;
  }
  const int64_t block = channel_block(layout);
  dims.push_back(shape[0]);
  if (layout != Layout::Nhwc) dims.push_back((shape[1] + block - 1) / block);
  for (size_t d = 2; d < shape.size(); ++d) dims.push_back(shape[d]);
  dims.push_back(layout == Layout::Nhwc ? shape[1] : block);
  return dims;
}

// Strides of a plain or equally laid out operand along the physical dimensions of the output, or why there are none.
Refusal operand_strides(const TensorDesc& operand, const TensorDesc& out, Strides& strides) {
  const size_t rank = out.shape.size();
  const Layout layout = out.layout;
  if (operand.shape.size() > rank) return "an operand has a higher rank than the output";
  if (operand.layout != layout && operand.layout != Layout::Plain) return "operands in different layouts";
  Shape shape(rank - operand.shape.size(), 1);
  for (Dim dim : operand.shape) shape.push_back(dim);
  for (size_t d = 0; d < rank; ++d)
    if (shape[d] != 1 && shape[d] != out.shape[d])
      return "the shapes " + to_string(operand.shape) + " and " + to_string(out.shape) + " do not broadcast";

  // Strides along the logical dimensions: [n, c, spatial...], and from one channel to the next inside a block.
  const int64_t block = channel_block(layout);
  Strides logical(rank, 0);
  int64_t lane = 0;
  if (layout == Layout::Plain || operand.layout == Layout::Plain) {
    int64_t step = 1;
    for (size_t d = rank; d-- > 0;) {
      logical[d] = shape[d] == 1 ? 0 : step;
      step *= shape[d];
    }
    if (layout == Layout::Plain) {
      strides = std::move(logical);
      return std::nullopt;
    }
    if (shape[1] != 1) {
      if (out.shape[1] % block != 0) return "channels of a plain operand do not fill their blocks";
      if (logical[1] != 1) return "a plain operand with spatial dimensions beside a blocked one";
      lane = logical[1];
      logical[1] *= block;
    }
  } else if (operand.shape.count() != 1) {
    const bool nhwc = layout == Layout::Nhwc;
    const int64_t pixel = nhwc ? shape[1] : block;
    int64_t step = pixel;
    for (size_t d = rank; d-- > 2;) {
      logical[d] = shape[d] == 1 ? 0 : step;
      step *= shape[d];
    }
    const bool has_channels = shape[1] == out.shape[1];
    lane = has_channels ? 1 : 0;
    if (!nhwc) {
      const int64_t blocks = (shape[1] + block - 1) / block;
      logical[1] = has_channels && blocks > 1 ? step : 0;
      step *= blocks;
    }
    logical[0] = shape[0] == 1 ? 0 : step;
  }
  strides.clear();
  strides.push_back(logical[0]);
  if (layout != Layout::Nhwc) strides.push_back(logical[1]);
  for (size_t d = 2; d < rank; ++d) strides.push_back(logical[d]);
  strides.push_back(lane);
  return std::nullopt;
}

Shape broadcast_all(InferContext& context) {
  Shape shape = context.shape(0);
  for (int i = 1; i < context.num_inputs(); ++i) shape = broadcast_shapes(context, shape, context.shape(i));
  return shape;
}

bool all_shapes(const InferContext& context) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (!context.has_shape(i)) return false;
  return true;
}

void infer(InferContext& context, DataType type) {
  if (all_shapes(context))
    context.out(0, type, broadcast_all(context));
  else
    context.out(0, type);
}

void require_same_types(InferContext& context) {
  if (context.num_inputs() == 0) context.fail("needs at least one input");
  for (int i = 0; i < context.num_inputs(); ++i) {
    if (!context.has_input(i)) context.fail("input " + std::to_string(i) + " is missing");
    if (differ(context.type(i), context.type(0)))
      context.fail("inputs must have one type, got " + std::string(name(context.type(0))) + " and " +
                   std::string(name(context.type(i))));
  }
}

// The result of the node's arithmetic on two sizes, or nothing.
std::optional<Dim> combine(SymbolTable& symbols, const std::string& op, Dim a, Dim b) {
  if (is_known(a) && is_known(b)) {
    if (op == "Add") return a + b;
    if (op == "Sub") return a >= b ? std::optional<Dim>(a - b) : std::nullopt;
    if (op == "Mul") return symbols.mul(a, b);
    if (op == "Div") return b > 0 ? std::optional<Dim>(a / b) : std::nullopt;
    if (op == "Mod") return b > 0 ? std::optional<Dim>(a % b) : std::nullopt;
    if (op == "Max") return std::max(a, b);
    if (op == "Min") return std::min(a, b);
    return std::nullopt;
  }
  if (op == "Add") return symbols.add(a, b);
  if (op == "Sub") return symbols.sub(a, b);
  if (op == "Mul") return symbols.mul(a, b);
  if (op == "Div") return symbols.div_floor(a, b);
  if (op == "Max") return symbols.max(a, b);
  if (op == "Min") return symbols.min(a, b);
  return std::nullopt;
}

void combine_sizes(InferContext& context) {
  if (context.type(0) != DataType::Int64 && context.type(0) != DataType::Int32) return;
  std::optional<Shape> sum = context.dims(0);
  for (int i = 1; sum && i < context.num_inputs(); ++i) {
    const std::optional<Shape> next = context.dims(i);
    if (!next) return;
    const size_t n = sum->size() == 1 ? next->size() : sum->size();
    if ((sum->size() != 1 && sum->size() != n) || (next->size() != 1 && next->size() != n)) return;
    Shape result;
    for (size_t k = 0; k < n; ++k) {
      const std::optional<Dim> dim = combine(context.symbols, context.node.op_type, (*sum)[sum->size() == 1 ? 0 : k],
                                             (*next)[next->size() == 1 ? 0 : k]);
      if (!dim) return;
      result.push_back(*dim);
    }
    sum = std::move(result);
  }
  if (sum) context.out_dims(0, std::move(*sum));
}

}  // namespace

bool differ(DataType a, DataType b) { return a != b && a != DataType::Undefined && b != DataType::Undefined; }

void infer_arithmetic(InferContext& context) {
  require_same_types(context);
  infer(context, context.type(0));
  combine_sizes(context);
}

void infer_predicate(InferContext& context) {
  require_same_types(context);
  infer(context, DataType::Bool);
}

void infer_mixed(InferContext& context) { infer(context, context.type(0)); }

Refusal refuse_operands(const OpContext& context, int count) {
  if (context.num_inputs() < count) return "inputs are missing";
  for (int i = 0; i < count; ++i) {
    Strides strides;
    if (Refusal why = operand_strides(context.in(i), context.out(0), strides)) return why;
  }
  return std::nullopt;
}

Refusal refuse_one(const OpContext& context) {
  if (context.type(0) == DataType::String) return "strings";
  return refuse_operands(context, 1);
}

Refusal refuse_all(const OpContext& context) {
  for (const TensorDesc& input : context.inputs)
    if (input.type == DataType::String) return "strings";
  return refuse_operands(context, context.num_inputs());
}

Refusal refuse_other_than_strings(const OpContext& context) {
  for (const TensorDesc& input : context.inputs)
    if (input.type == DataType::String) return std::nullopt;
  return "serves strings alone";
}

kernels::Broadcast nest(const OpContext& context, int count) {
  std::vector<Strides> strides(static_cast<size_t>(count));
  bool copyable = true;
  for (int i = 0; i < count; ++i) {
    if (!context.has_input(i)) context.fail("input " + std::to_string(i) + " is missing");
    if (Refusal why = operand_strides(context.in(i), context.out(0), strides[static_cast<size_t>(i)]))
      context.fail(*why);
    copyable = copyable && context.type(i) != DataType::String;
  }
  const InlineVector<int64_t, 8> dims = physical_dims(context.out(0).shape, context.out(0).layout);
  return kernels::Broadcast(dims, strides, copyable);
}

void check_same_type(const OpContext& context, int first, int last) {
  for (int i = first; i < last; ++i)
    if (!context.has_input(i)) context.fail("input " + std::to_string(i) + " is missing");
  for (int i = first + 1; i < last; ++i)
    if (context.type(i) != context.type(first))
      context.fail("inputs must have one type, got " + std::string(name(context.type(first))) + " and " +
                   std::string(name(context.type(i))));
}

Padding::Padding(const TensorDesc& tensor) {
  const int block = channel_block(tensor.layout);
  if (block == 1 || tensor.shape.rank() < 3 || tensor.shape[1] % block == 0) return;
  const int64_t blocks = (tensor.shape[1] + block - 1) / block;
  rows_ = tensor.shape.count(2, tensor.shape.rank());
  block_ = block;
  batch_ = tensor.shape[0];
  step_ = blocks * rows_ * block;
  first_ = (blocks - 1) * rows_ * block;
  lanes_ = block - tensor.shape[1] % block;
  item_ = element_size(tensor.type);
}

void Padding::clear(std::byte* data, const Parallel& parallel) const {
  if (empty()) return;
  parallel.range(batch_ * rows_, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i / rows_ * step_ + first_ + (i % rows_ + 1) * block_ - lanes_;
      std::memset(data + static_cast<size_t>(at) * item_, 0, static_cast<size_t>(lanes_) * item_);
    }
  });
}

int64_t elements(const TensorDesc& tensor) { return physical_count(tensor.shape, tensor.layout); }

}  // namespace fastort::elementwise
