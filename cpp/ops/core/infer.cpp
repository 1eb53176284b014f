#include "ops/core/infer.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "ops/core/merge_types.h"
#include "ops/core/name_error.h"

namespace fastort {
namespace {

// Types of a body's values, from the latest time it was inferred.
using BodyTypes = std::unordered_map<const Graph*, std::vector<ValueType>>;

// Bad models may have fewer inputs than an operator reads: what lies behind the last one reads as left out.
constexpr size_t kPadding = 16;

InferredNode infer_one(const OpDef& op, const Node& node, std::span<const ValueType> inputs,
                       std::span<const KnownValue> known, SymbolTable& symbols, BodyTypes& bodies);

// What one inference is shown of its inputs, with empty places behind them. Kept by the thread from node to node: a
// plan infers hundreds.
struct Scratch {
  std::vector<ValueType> types;
  std::vector<const Tensor*> values;
  std::vector<std::optional<Shape>> dims;

  class Lease {
   public:
    explicit Lease(size_t count) : count_(count) {
      std::vector<std::unique_ptr<Scratch>>& idle = Lease::idle();
      if (!idle.empty()) {
        scratch_ = std::move(idle.back());
        idle.pop_back();
      } else {
        scratch_ = std::make_unique<Scratch>();
      }
      if (scratch_->types.size() >= count) return;
      scratch_->types.resize(count);
      scratch_->values.resize(count);
      scratch_->dims.resize(count);
    }
    ~Lease() {
      for (size_t i = 0; i < count_; ++i) {
        scratch_->types[i] = {};
        scratch_->values[i] = nullptr;
        scratch_->dims[i].reset();
      }
      if (idle().size() < 4) idle().push_back(std::move(scratch_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Scratch& operator*() const { return *scratch_; }

   private:
    static std::vector<std::unique_ptr<Scratch>>& idle() {
      thread_local std::vector<std::unique_ptr<Scratch>> scratches;
      return scratches;
    }
    size_t count_;
    std::unique_ptr<Scratch> scratch_;
  };
};

std::string type_names(TypeMask types) {
  std::string names;
  for (int i = 1; i < kDataTypes; ++i) {
    if (!types.has(static_cast<DataType>(i))) continue;
    names += (names.empty() ? "" : ", ") + std::string(name(static_cast<DataType>(i)));
  }
  return names;
}

void check_type(const OpDef& op, const Node& node, std::span<const ValueType> inputs) {
  if (!node.has_input(0) || !inputs[0].is_tensor() || inputs[0].element == DataType::Undefined) return;
  if (op.types.has(inputs[0].element)) return;
  std::string given;
  for (const ValueType& input : inputs.first(static_cast<size_t>(node.num_inputs())))
    given += (given.empty() ? "" : ", ") + (input.kind == ValueKind::Unknown ? "?" : type_string(input));
  not_implemented(describe(node) + ": the first of its inputs (" + given +
                  ") has an element type that is not supported here (supported: " + type_names(op.types) +
                  "); insert a Cast");
}

// Walks the nodes of one graph. The graph itself stays as it is: the types are written back by whoever asked.
class GraphInference {
 public:
  GraphInference(const Graph& graph, SymbolTable& symbols, BodyTypes& bodies)
      : graph_(graph), symbols_(symbols), bodies_(bodies), types_(graph.values.size()), known_(graph.values.size()) {
    for (size_t i = 0; i < graph.values.size(); ++i) {
      const ValueInfo& value = graph.values[i];
      types_[i] = declared(value.type);
      if (value.constant == nullptr) continue;
      types_[i] = ValueType::tensor(value.constant->type(), value.constant->shape());
      known_[i].tensor = value.constant.get();
    }
  }

  // What flows into a body's input says more than its declaration, unless nothing is known of it.
  void feed(ValueId id, const ValueType& type, const KnownValue& known) {
    ValueType& input = types_[static_cast<size_t>(id)];
    if (!same_kind(input, type)) {
      invalid_graph("the input '" + graph_.value(id).name + "' of the body '" + graph_.name + "' is declared as " +
                    describe(input, symbols_) + " and fed with " + describe(type, symbols_));
    }
    input = prefer(type, input);
    known_[static_cast<size_t>(id)] = known;
  }

  void run() {
    for (const Node& node : graph_.nodes) infer(node);
  }

  std::vector<ValueType>& types() { return types_; }
  const ValueType& type(ValueId id) const { return types_[static_cast<size_t>(id)]; }

 private:
  // A body may be inferred with another table than its own: its symbols mean nothing there.
  ValueType declared(const ValueType& type) {
    if (graph_.symbols.get() == &symbols_ || !type.has_shape) return type;
    ValueType own = type;
    for (Dim& dim : own.shape)
      if (is_symbol(dim)) dim = symbols_.fresh();
    return own;
  }

  void infer(const Node& node) {
    const OpDef* op = find_op(node.domain, node.op_type);
    if (op == nullptr) {
      not_implemented(describe(graph_, node) + ": the operator '" + node.op_type + "' of the domain '" +
                      (node.domain.empty() ? "ai.onnx" : node.domain) + "' is not supported");
    }
    std::vector<ValueType> inputs(node.inputs.size());
    std::vector<KnownValue> known(node.inputs.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      inputs[i] = type(node.inputs[i]);
      known[i] = known_[static_cast<size_t>(node.inputs[i])];
    }
    InferredNode inferred = infer_named(*op, node, inputs, known);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id == kNoValue) continue;
      types_[static_cast<size_t>(id)] = merged(node, id, inferred.types[i]);
      known_[static_cast<size_t>(id)].dims = std::move(inferred.dims[i]);
    }
  }

  InferredNode infer_named(const OpDef& op, const Node& node, std::span<const ValueType> inputs,
                           std::span<const KnownValue> known) {
    try {
      return infer_one(op, node, inputs, known, symbols_, bodies_);
    } catch (const Error& error) {
      throw name_error(error, graph_, node);
    }
  }

  ValueType merged(const Node& node, ValueId id, const ValueType& inferred) const {
    const ValueType& before = type(id);
    if (auto type = merge_types(before, inferred, symbols_, false)) return *std::move(type);
    const std::string what = describe(graph_, node) + ": the model declares its output '" + graph_.value(id).name +
                             "' as " + describe(before, symbols_) + ", but it is " + describe(inferred, symbols_);
    if (!same_kind(before, inferred)) invalid_graph(what);
    // Shapes left over from before a model was edited are common and do no harm: what is computed counts.
    log(Severity::Warning, what + "; the declaration is ignored");
    return inferred;
  }

  const Graph& graph_;
  SymbolTable& symbols_;
  BodyTypes& bodies_;
  std::vector<ValueType> types_;
  std::vector<KnownValue> known_;
};

std::vector<ValueType> infer_body(const Graph& body, std::span<const ValueType> inputs, const Node& node,
                                  std::span<const KnownValue> known, SymbolTable& symbols, BodyTypes& bodies) {
  if (inputs.size() != body.inputs.size()) {
    invalid_graph(describe(node) + ": the body '" + body.name + "' has " + std::to_string(body.inputs.size()) +
                  " inputs, and " + std::to_string(inputs.size()) + " are given to it");
  }
  GraphInference inference(body, symbols, bodies);
  const size_t captures = static_cast<size_t>(node.captures);
  const size_t formal = inputs.size() - std::min(captures, inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    // Captures are the same in every call of the body, and so is what is known of them.
    const bool capture = i >= formal && known.size() >= captures;
    inference.feed(body.inputs[i], inputs[i], capture ? known[known.size() - captures + i - formal] : KnownValue{});
  }
  inference.run();
  std::vector<ValueType> outputs;
  for (ValueId id : body.outputs) outputs.push_back(inference.type(id));
  bodies[&body] = std::move(inference.types());
  return outputs;
}

InferredNode infer_one(const OpDef& op, const Node& node, std::span<const ValueType> inputs,
                       std::span<const KnownValue> known, SymbolTable& symbols, BodyTypes& bodies) {
  check_type(op, node, inputs);
  const size_t count = node.inputs.size();
  const Scratch::Lease scratch(count + kPadding);
  auto& [types, values, dims] = *scratch;
  std::copy(inputs.begin(), inputs.end(), types.begin());
  for (size_t i = 0; i < count && i < known.size(); ++i) {
    values[i] = known[i].tensor;
    dims[i] = known[i].dims;
  }
  InferredNode result;
  result.types.resize(std::max<size_t>(node.outputs.size(), 1));
  result.dims.resize(result.types.size());
  InferContext context{node,
                       std::span<const ValueType>(types).first(count),
                       std::span<const Tensor* const>(values).first(count),
                       std::span<const std::optional<Shape>>(dims).first(count),
                       symbols,
                       result.types,
                       result.dims,
                       [&](const Graph& body, std::span<const ValueType> given) {
                         return infer_body(body, given, node, known, symbols, bodies);
                       }};
  try {
    op.infer(context);
  } catch (const Error& error) {
    const std::string who = describe(node);
    if (std::string_view(error.what()).starts_with(who)) throw;
    throw Error(error.code(), who + ": " + error.what());
  } catch (const std::exception& error) {
    throw Error(ErrorCode::Fail, describe(node) + ": " + error.what());
  }
  for (const ValueType& type : result.types) {
    for (Dim dim : type.shape)
      if (dim < 0 && !is_symbol(dim)) context.fail("an output would have the negative size " + std::to_string(dim));
  }
  result.types.resize(node.outputs.size());
  result.dims.resize(node.outputs.size());
  return result;
}

void write_back(Graph& graph, BodyTypes& bodies) {
  for (Node& node : graph.nodes) {
    for (auto& [name, attribute] : node.attributes) {
      auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (body == nullptr || *body == nullptr) continue;
      const auto types = bodies.find(body->get());
      if (types == bodies.end()) continue;
      for (size_t i = 0; i < types->second.size(); ++i) (*body)->values[i].type = types->second[i];
      write_back(**body, bodies);
    }
  }
}

}  // namespace

InferredNode infer_node(const OpDef& op, const Node& node, std::span<const ValueType> inputs,
                        std::span<const KnownValue> known, SymbolTable& symbols) {
  BodyTypes bodies;
  return infer_one(op, node, inputs, known, symbols, bodies);
}

void infer_graph(Graph& graph) {
  BodyTypes bodies;
  GraphInference inference(graph, *graph.symbols, bodies);
  inference.run();
  for (size_t i = 0; i < graph.values.size(); ++i) graph.values[i].type = std::move(inference.types()[i]);
  write_back(graph, bodies);
}

}  // namespace fastort
