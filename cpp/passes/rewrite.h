#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace fastort {

// The tools of one sweep of a pass over a graph: who makes and who reads each value, and edits. Node indices stay valid
// until the sweep is finished; nodes that `emit` added have indices from node_count() on.
class Sweep {
 public:
  explicit Sweep(Graph& graph);

  Graph& graph() { return graph_; }
  const Graph& graph() const { return graph_; }
  int node_count() const { return count_; }
  Node& node(int index) {
    return index < count_ ? graph_.nodes[static_cast<size_t>(index)] : added_[static_cast<size_t>(index - count_)].node;
  }
  bool removed(int index) const { return removed_[static_cast<size_t>(index)]; }

  // The node that makes `id`, unless it is gone; nullptr for inputs and constants.
  Node* producer(ValueId id);
  int producer_index(ValueId id) const;
  // The producer where it is an operator of this name and domain.
  Node* producer(ValueId id, std::string_view op_type, std::string_view domain = "");
  // The one node that reads `id`, which is no graph output; -1 otherwise.
  int only_reader(ValueId id) const;
  // True where exactly one node reads it, once, and it is no graph output: it may disappear in a fusion.
  bool single(ValueId id) const { return readers(id).size() == 1 && readers(id)[0] >= 0; }
  // One entry for each use; graph outputs count as the reader -1.
  const std::vector<int>& readers(ValueId id) const;

  // The constant's only item as float (any real type), where it is one.
  std::optional<float> scalar(ValueId id) const;
  // Whether the constant is one item equal to `value` up to rounding of the item's type.
  bool is_scalar(ValueId id, float value, float tolerance = 1e-6f) const;
  std::optional<std::vector<int64_t>> ints(ValueId id) const;
  // nullptr where the rank is not known. Valid until a value is added.
  const Shape* shape(ValueId id) const;
  DataType type(ValueId id) const { return graph_.value(id).type.element; }
  bool same_shape(ValueId a, ValueId b) const;  // for every input

  // Removes a node at the end of the sweep. Its outputs must have lost their readers by then.
  void remove(int index);
  // Makes `index` another operator on other inputs; its outputs, their names and types stay. `fused` says what went in.
  void become(int index, Node replacement, std::vector<std::string> fused);
  // Makes output 0 of the node `from`, which goes, the last output of `index`.
  void take_output(int index, int from);
  // Adds a node in front of `before` and infers its type. Gives its only output; its inputs must be made before
  // `before`.
  ValueId emit(int before, Node node);
  // Readers of `from` (graph outputs among them) read `to` instead.
  void redirect(ValueId from, ValueId to);
  // Applies all edits, and removes what they left without a reader; returns the number of changes.
  int finish();

 private:
  struct Added {
    int before;
    Node node;
  };

  void forget(int index);
  void register_node(int index);
  void remove_unread();

  Graph& graph_;
  int count_;
  std::deque<Added> added_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> producers_;
  std::vector<bool> was_read_;  // when the sweep began
  std::vector<bool> removed_;
  int changes_ = 0;
};

// A node of the ONNX domain.
Node make_node(std::string op_type, std::vector<ValueId> inputs);

// "Relu 'relu_1'": a node in the list of what was fused.
std::string fused_name(const Node& node);

// The bodies of a node's subgraph attributes.
std::vector<Graph*> bodies(Node& node);

}  // namespace fastort
