#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace fastort {

// The tools of one sweep of a pass over a graph: who makes and who reads each value, and edits that take effect
// together when the sweep is finished. Node indices stay valid until then.
class Sweep {
 public:
  explicit Sweep(Graph& graph) : graph_(graph), uses_(graph), removed_(graph.nodes.size(), false) {}

  Graph& graph() { return graph_; }
  int node_count() const { return static_cast<int>(removed_.size()); }
  Node& node(int index) { return graph_.nodes[static_cast<size_t>(index)]; }
  bool removed(int index) const { return removed_[static_cast<size_t>(index)]; }

  // The node that makes `id`, unless it is gone; nullptr for inputs and constants.
  Node* producer(ValueId id);
  int producer_index(ValueId id) const;
  // The producer where it is an operator of this name and domain.
  Node* producer(ValueId id, std::string_view op_type, std::string_view domain = "");
  // The one node that reads `id`, which is no graph output; -1 otherwise.
  int only_reader(ValueId id) const;
  // True where exactly one node reads it, once, and it is no graph output: it may disappear in a fusion.
  bool single(ValueId id) const { return uses_.single(id); }
  const std::vector<int>& readers(ValueId id) const { return uses_.of(id); }

  // The constant's only item as float (any real type), where it is one.
  std::optional<float> scalar(ValueId id) const;
  // Whether the constant is one item equal to `value` up to rounding of the item's type.
  bool is_scalar(ValueId id, float value, float tolerance = 1e-6f) const;
  std::optional<std::vector<int64_t>> ints(ValueId id) const;
  const Shape* shape(ValueId id) const;  // nullptr where the rank is not known
  DataType type(ValueId id) const { return graph_.value(id).type.element; }
  bool same_shape(ValueId a, ValueId b) const;  // for every input

  // Removes a node at the end of the sweep. Its outputs must have lost their readers by then.
  void remove(int index) {
    removed_[static_cast<size_t>(index)] = true;
    ++changes_;
  }
  // Makes `index` another operator on other inputs; its outputs, their names and types stay. `fused` says what went in.
  void become(int index, Node replacement, std::vector<std::string> fused);
  // At the end of the sweep, readers of `from` (graph outputs among them) read `to` instead.
  void redirect(ValueId from, ValueId to);
  // Applies all edits; returns the number of changes.
  int finish();

 private:
  Graph& graph_;
  Uses uses_;
  std::vector<bool> removed_;
  std::vector<std::pair<ValueId, ValueId>> redirects_;
  int changes_ = 0;
};

// "Relu 'relu_1'": a node in the list of what was fused.
std::string fused_name(const Node& node);

// The bodies of a node's subgraph attributes.
std::vector<Graph*> bodies(Node& node);

}  // namespace fastort
