#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "graph/graph.h"
#include "onnx/load.h"

namespace fastort {

// One graph while it is made. A body's builder knows the builder of the graph around it, from which it captures values.
class GraphBuilder {
 public:
  GraphBuilder(std::shared_ptr<SymbolTable> symbols, GraphBuilder* outer, const LoadOptions& options);

  Graph& graph() { return *graph_; }
  const std::shared_ptr<Graph>& shared_graph() const { return graph_; }
  GraphBuilder* outer() const { return outer_; }

  // Keeps a name of the model from being given to a value that the loader makes.
  void reserve(const std::string& name) { taken_.insert(name); }
  // `base`, with a number behind it where that is taken.
  std::string unique(const std::string& base);

  ValueId add_value(const std::string& name, ValueType type = {});
  ValueId add_constant(const std::string& name, Tensor tensor);
  void append(Node node) { graph_->nodes.push_back(std::move(node)); }
  // A run may feed this constant, so nothing may be concluded from its value.
  void set_overridable(ValueId id);

  // The value of this graph that stands for value `id` of `from`, a graph around this one: a capture, or a copy of a
  // constant.
  ValueId bring(ValueId id, GraphBuilder& from);
  // Values of the outer graph that this one captured, in order.
  const std::vector<ValueId>& captured() const { return captured_; }
  // Makes exactly `order` (values of the outer graph) the last inputs, in this order.
  void append_captures(const std::vector<ValueId>& order);

  // The value of a constant that holds for every run, else nullptr.
  const Tensor* constant(ValueId id) const;
  // What can be said about a value of this graph by now.
  const ValueFacts& facts(ValueId id);

 private:
  ValueId capture(ValueId outer_id);
  void infer_up_to_now();
  ValueFacts declared(ValueId id);

  std::shared_ptr<Graph> graph_;
  GraphBuilder* outer_;
  const LoadOptions& options_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, int> suffixes_;
  std::unordered_map<ValueId, ValueId> inner_of_;  // outer value -> value of this graph
  std::unordered_map<ValueId, ValueId> outer_of_;
  std::vector<ValueId> captured_;
  std::unordered_set<ValueId> overridable_;
  std::vector<ValueFacts> facts_;
  size_t inferred_nodes_ = 0;
};

}  // namespace fastort
