#include <algorithm>

#include "ops/core/evaluate.h"
#include "ops/core/infer.h"
#include "ops/core/merge_types.h"
#include "passes/passes.h"
#include "passes/rewrite.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

// A result may be this large, or as large as the constants it is made from, whichever is more: folding must not blow up
// a model (ConstantOfShape, Expand, Tile).
constexpr size_t kMaxFoldedBytes = size_t{1} << 20;

// Walks the nodes once, in order: what is folded is a constant for the nodes behind it, and so are sizes that inference
// knows although the tensor that they come from is not known.
class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph), sweep_(graph), dims_(graph.values.size()) {}

  int run() {
    for (int i = 0; i < sweep_.node_count(); ++i) {
      Node& node = sweep_.node(i);
      const OpDef* op = find_op(node.domain, node.op_type);
      if (!op || node.captures || !bodies(node).empty()) continue;
      refine(*op, node);
      // Dequantized weights stay as they are: an integer kernel may take them.
      const bool folded = fold_sizes(node) || (node.op_type != "DequantizeLinear" && evaluate(*op, node));
      if (folded) sweep_.remove(i);
    }
    return sweep_.finish();
  }

 private:
  void refine(const OpDef& op, const Node& node) {
    std::vector<ValueType> types(node.inputs.size());
    std::vector<KnownValue> known(node.inputs.size());
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const ValueId id = node.inputs[k];
      if (id == kNoValue) continue;
      types[k] = graph_.value(id).type;
      known[k] = {graph_.constant(id), dims_[static_cast<size_t>(id)]};
    }
    InferredNode inferred;
    try {
      inferred = infer_node(op, node, types, known, *graph_.symbols);
    } catch (const Error&) {
      return;  // the run reports it, should it ever come here
    }
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const ValueId id = node.outputs[k];
      if (id == kNoValue) continue;
      ValueType& type = graph_.value(id).type;
      if (auto merged = merge_types(type, inferred.types[k], *graph_.symbols, graph_.is_output(id)))
        type = *std::move(merged);
      dims_[static_cast<size_t>(id)] = inferred.dims[k];
    }
    compare_sizes(node);
  }

  const std::optional<Shape>& dims(ValueId id) const { return dims_[static_cast<size_t>(id)]; }

  // Sizes are never negative: Equal(sizes, negative numbers) is known even where the sizes are not. Exporters write the
  // target of an Expand with it.
  void compare_sizes(const Node& node) {
    if (node.op_type != "Equal" || !node.domain.empty()) return;
    for (size_t k = 0; k < 2; ++k) {
      const std::optional<Shape>& sizes = dims(node.inputs[k]);
      const Tensor* numbers = graph_.constant(node.inputs[1 - k]);
      if (!sizes || !numbers || numbers->type() != DataType::Int64 || numbers->shape().rank() > 1) continue;
      if (static_cast<size_t>(numbers->count()) != sizes->size() && numbers->count() != 1) continue;
      const Shape* out = sweep_.shape(node.outputs[0]);
      if (!out || !out->is_concrete() || out->count() != static_cast<int64_t>(sizes->size())) continue;
      Tensor equal(DataType::Bool, *out);
      for (size_t i = 0; i < sizes->size(); ++i) {
        const int64_t number = numbers->data<int64_t>()[numbers->count() == 1 ? 0 : i];
        if (is_symbol((*sizes)[i]) && number >= 0) return;
        equal.data<bool>()[i] = (*sizes)[i] == number;
      }
      graph_.value(node.outputs[0]).constant = std::make_shared<Tensor>(std::move(equal));
      return;
    }
  }

  // Whether every output became a constant by inference alone.
  bool fold_sizes(const Node& node) {
    for (ValueId id : node.outputs) {
      if (id == kNoValue || graph_.constant(id)) continue;
      const std::optional<Shape>& sizes = dims(id);
      const ValueType& type = graph_.value(id).type;
      if (!sizes || !type.is_concrete() || type.shape.rank() > 1) return false;
      if (type.element != DataType::Int64 && type.element != DataType::Int32) return false;
      if (checked_count(type.shape) != static_cast<int64_t>(sizes->size())) return false;
      for (Dim dim : *sizes)
        if (is_symbol(dim)) return false;
    }
    for (ValueId id : node.outputs) {
      if (id == kNoValue || graph_.constant(id)) continue;
      const Shape sizes = *dims(id);
      const ValueType& type = graph_.value(id).type;
      Tensor tensor(type.element, type.shape);
      for (size_t i = 0; i < sizes.size(); ++i) {
        if (type.element == DataType::Int64)
          tensor.data<int64_t>()[i] = sizes[i];
        else
          tensor.data<int32_t>()[i] = static_cast<int32_t>(sizes[i]);
      }
      graph_.value(id).constant = std::make_shared<Tensor>(std::move(tensor));
    }
    return true;
  }

  bool small_enough(const Node& node, size_t input_bytes) const {
    size_t bytes = 0;
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      const ValueType& type = graph_.value(id).type;
      if (!type.is_concrete()) return false;
      const auto count = checked_count(type.shape);
      if (!count) return false;
      bytes += static_cast<size_t>(*count) * element_size(type.element);
    }
    return bytes <= std::max(kMaxFoldedBytes, input_bytes);
  }

  bool evaluate(const OpDef& op, const Node& node) {
    if (op.flags & (kDynamic | kImpure)) return false;
    size_t input_bytes = 0;
    std::vector<Value> inputs(node.inputs.size());
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (node.inputs[k] == kNoValue) continue;
      const Tensor* constant = graph_.constant(node.inputs[k]);
      if (!constant) return false;
      input_bytes += constant->bytes();
      inputs[k] = *constant;
    }
    if (!small_enough(node, input_bytes)) return false;
    std::vector<Value> results;
    try {
      const ReadScope scope;
      results = evaluate_node(op, node, inputs);
      if (!(op.flags & kView)) give_up(inputs);
    } catch (const Error&) {
      return false;  // the run reports it, should it ever come here
    }
    if (!std::all_of(results.begin(), results.end(), [](const Value& v) { return v.empty() || v.is_tensor(); }))
      return false;
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (node.outputs[k] == kNoValue) continue;
      ValueInfo& value = graph_.value(node.outputs[k]);
      value.constant = std::make_shared<Tensor>(recomputable(op, node, inputs, results[k].tensor(), k));
      value.type = ValueType::tensor(value.constant->type(), value.constant->shape());
    }
    return true;
  }

  static void give_up(const std::vector<Value>& inputs) {
    for (const Value& input : inputs) {
      if (input.is_tensor()) input.tensor().give_up();
    }
  }

  // A large result is computed again, should its memory have been given up.
  static Tensor recomputable(const OpDef& op, const Node& node, const std::vector<Value>& inputs, const Tensor& result,
                             size_t output) {
    return deferred(result, [op = &op, node, inputs, output] {
      const ReadScope scope;
      const Tensor computed = evaluate_node(*op, node, inputs)[output].tensor();
      give_up(inputs);
      return computed;
    });
  }

  Graph& graph_;
  Sweep sweep_;
  std::vector<std::optional<Shape>> dims_;
};

}  // namespace

int fold_constants(Graph& graph) { return Folder(graph).run(); }

}  // namespace fastort
