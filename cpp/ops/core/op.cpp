#include "ops/op.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "ops/core/custom.h"
#include "ops/core/op_tables.h"

namespace fastort {
namespace {

struct OpKey {
  std::string_view domain;
  std::string_view name;
  bool operator==(const OpKey&) const = default;
};

struct OpKeyHash {
  size_t operator()(const OpKey& key) const noexcept {
    const std::hash<std::string_view> hash;
    return hash(key.domain) * 31 + hash(key.name);
  }
};

struct Registry {
  std::vector<const OpDef*> all;
  std::unordered_map<OpKey, const OpDef*, OpKeyHash> by_name;

  Registry() {
    for (OpTableFn table : op_tables()) {
      for (const OpDef& op : table()) {
        all.push_back(&op);
        by_name.try_emplace({op.domain, op.name}, &op);
      }
    }
  }
};

const Registry& registry() {
  static const Registry* const kRegistry = new Registry;
  return *kRegistry;
}

std::string axis_error(int64_t axis, int rank) {
  return "axis " + std::to_string(axis) + " is outside [" + std::to_string(-rank) + ", " + std::to_string(rank - 1) +
         "] of a tensor of rank " + std::to_string(rank);
}

bool axis_fits(int64_t axis, int rank) { return axis >= -rank && axis < rank; }

// The output has the broadcast shape of all inputs; its rank is unknown where one of theirs is.
void infer_elementwise(InferContext& context, DataType type) {
  Shape shape;
  bool known = true;
  for (int i = 0; i < context.num_inputs(); ++i) {
    if (!context.has_input(i)) continue;
    known = known && context.has_shape(i);
    if (known) shape = i == 0 ? context.shape(0) : broadcast_shapes(context, shape, context.shape(i));
  }
  if (known) {
    context.out(0, type, std::move(shape));
  } else {
    context.out(0, type);
  }
}

// Kernels read all inputs as one type.
void check_same_types(const InferContext& context) {
  for (int i = 1; i < context.num_inputs(); ++i) {
    if (!context.has_input(i) || context.type(i) == context.type(0)) continue;
    if (context.type(i) == DataType::Undefined || context.type(0) == DataType::Undefined) continue;
    context.fail("all inputs must have the same element type; insert a Cast");
  }
}

}  // namespace

const OpDef* find_op(std::string_view domain, std::string_view name) {
  const auto& ops = registry().by_name;
  if (domain == "ai.onnx") domain = {};
  const auto at = ops.find({domain, name});
  if (at != ops.end()) return at->second;
  const auto& custom = CustomOpsScope::current();
  return custom ? custom->find(domain, name) : nullptr;
}

std::span<const OpDef* const> all_ops() { return registry().all; }

std::optional<InlineVector<int64_t, 8>> InferContext::ints(int i) const {
  if (const Tensor* tensor = value(i)) return to_int64s(*tensor);
  if (!has_input(i) || !dim_values[static_cast<size_t>(i)]) return std::nullopt;
  InlineVector<int64_t, 8> items;
  for (Dim dim : *dim_values[static_cast<size_t>(i)]) {
    if (is_symbol(dim)) return std::nullopt;
    items.push_back(dim);
  }
  return items;
}

std::optional<Shape> InferContext::dims(int i) const {
  if (!has_input(i)) return std::nullopt;
  const Tensor* tensor = values[static_cast<size_t>(i)];
  if (tensor == nullptr) return dim_values[static_cast<size_t>(i)];
  const bool integer = tensor->type() == DataType::Int64 || tensor->type() == DataType::Int32;
  if (!integer || tensor->shape().rank() > 1) return std::nullopt;
  Shape items;
  for (int64_t item : to_int64s(*tensor)) {
    if (is_symbol(item)) return std::nullopt;  // a number, but one that would read as a symbol
    items.push_back(item);
  }
  return items;
}

void InferContext::fail(const std::string& what) const {
  std::string types;
  for (int i = 0; i < num_inputs(); ++i) {
    if (i > 0) types += ", ";
    types += has_input(i) ? describe(in(i), symbols) : "-";
  }
  invalid_graph(describe(node) + ": " + what + " (inputs: " + types + ")");
}

InlineVector<int64_t, 8> OpContext::ints(int i) const {
  if (!has_input(i)) fail("input " + std::to_string(i) + " is missing");
  const Tensor* tensor = in(i).constant;
  if (tensor == nullptr) fail("the value of input " + std::to_string(i) + " must be known before the run");
  return to_int64s(*tensor);
}

void OpContext::fail(const std::string& what) const {
  const auto list = [](std::span<const TensorDesc> tensors) {
    std::string text;
    for (const TensorDesc& tensor : tensors) {
      if (!text.empty()) text += ", ";
      text += tensor.type == DataType::Undefined ? "-" : std::string(name(tensor.type)) + to_string(tensor.shape);
    }
    return text;
  };
  invalid_graph(describe(node) + ": " + what + " (inputs: " + list(inputs) + "; outputs: " + list(outputs) + ")");
}

void infer_same(InferContext& context) {
  if (context.has_input(0)) context.outputs[0] = context.in(0);
}

void infer_broadcast(InferContext& context) {
  if (!context.has_input(0)) context.fail("input 0 is missing");
  check_same_types(context);
  infer_elementwise(context, context.type(0));
}

void infer_compare(InferContext& context) {
  if (!context.has_input(0)) context.fail("input 0 is missing");
  check_same_types(context);
  infer_elementwise(context, DataType::Bool);
}

Shape broadcast_shapes(const InferContext& context, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result(static_cast<size_t>(rank), 1);
  for (int i = 0; i < rank; ++i) {
    const int at_a = i - (rank - a.rank()), at_b = i - (rank - b.rank());
    const Dim of_a = at_a < 0 ? 1 : a[at_a], of_b = at_b < 0 ? 1 : b[at_b];
    if (is_known(of_a) && is_known(of_b) && of_a != of_b && of_a != 1 && of_b != 1)
      context.fail("the shapes " + to_string(a, context.symbols) + " and " + to_string(b, context.symbols) +
                   " cannot be broadcast: " + std::to_string(of_a) + " is not " + std::to_string(of_b));
    result[i] = context.symbols.broadcast(of_a, of_b);
  }
  return result;
}

int normalize_axis(const InferContext& context, int64_t axis, int rank) {
  if (!axis_fits(axis, rank)) context.fail(axis_error(axis, rank));
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

int normalize_axis(const Node& node, int64_t axis, int rank) {
  if (!axis_fits(axis, rank)) invalid_graph(describe(node) + ": " + axis_error(axis, rank));
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

bool same_memory(const Shape& shape, Layout a, Layout b) noexcept {
  if (a == b || shape.rank() < 3) return true;
  const int64_t channels = shape[1], pixels = shape.count(2, shape.rank());
  // Whole blocks are needed, and then either one pixel or one block of channels makes the order of the two moot.
  const auto is_flat = [&](Layout layout) {
    const int64_t block = channel_block(layout);
    return channels % block == 0;
  };
  if (!is_flat(a) || !is_flat(b)) return false;
  if (pixels == 1) return true;
  const auto channels_last = [&](Layout layout) {
    return layout != Layout::Plain && (layout == Layout::Nhwc || channels == channel_block(layout));
  };
  if (channels == 1) return true;
  return channels_last(a) && channels_last(b);
}

}  // namespace fastort
