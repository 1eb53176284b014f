#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/attributes.h"
#include "graph/symbols.h"
#include "tensor/value.h"

namespace fastort {

using ValueId = int32_t;
inline constexpr ValueId kNoValue = -1;  // an optional input or output that is left out

// Where a node comes from in the user's model, for messages and `explain()`.
struct Origin {
  std::string node_name;           // as in the model, may be empty
  std::string op_type;             // as in the model
  std::vector<std::string> fused;  // "BatchNormalization 'bn1'": what was folded into this node
};

// One edge: the output of a node, an input of the graph, or a constant.
struct ValueInfo {
  std::string name;
  ValueType type;
  std::shared_ptr<const Tensor> constant;  // set for initializers and folded values
};

// One operator call. Inputs are the operator's formal ones, then `captures`: the outer values that its subgraphs read,
// which are the last inputs of every subgraph of this node, in this order.
struct Node {
  std::string domain;  // "" is ai.onnx
  std::string op_type;
  std::string name;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  int captures = 0;
  Attributes attributes;
  Origin origin;

  int num_inputs() const { return static_cast<int>(inputs.size()) - captures; }
  bool has_input(int i) const { return i < num_inputs() && inputs[i] != kNoValue; }
  bool has_output(int i) const { return i < static_cast<int>(outputs.size()) && outputs[i] != kNoValue; }
};

// A model, or a body of one, as nodes in an order in which every value is made before it is read.
struct Graph {
  std::string name;
  std::vector<ValueInfo> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;  // what a run feeds; overridable initializers are not among them
  std::vector<ValueId> outputs;
  std::vector<ValueId> overridable;  // initializers that are inputs too: a run may feed them
  std::shared_ptr<SymbolTable> symbols = std::make_shared<SymbolTable>();  // shared with the bodies

  ValueId add_value(std::string value_name, ValueType type = {});
  ValueId add_constant(std::string value_name, Tensor tensor);
  const ValueInfo& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  ValueInfo& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Tensor* constant(ValueId id) const { return id == kNoValue ? nullptr : value(id).constant.get(); }
  bool is_output(ValueId id) const;
  // kNoValue where there is none.
  ValueId find(std::string_view value_name) const;
};

// What surrounds the graph in a model file.
struct ModelInfo {
  int64_t ir_version = 0;
  std::string producer_name, producer_version, domain, doc_string, graph_name, graph_doc_string;
  int64_t model_version = 0;
  std::map<std::string, int64_t> opsets;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> warnings;  // for the log sink: "opset 99 is newer than ..."
};

struct Model {
  ModelInfo info;
  std::shared_ptr<Graph> graph;
};

// Readers of each value: indices of nodes, one entry for each use; graph outputs count as the reader -1.
class Uses {
 public:
  explicit Uses(const Graph& graph);
  const std::vector<int>& of(ValueId id) const { return readers_[static_cast<size_t>(id)]; }
  // The node that makes the value, or -1.
  int producer(ValueId id) const { return producers_[static_cast<size_t>(id)]; }
  // True where exactly one node reads it and it is no graph output.
  bool single(ValueId id) const { return of(id).size() == 1 && of(id)[0] >= 0; }

 private:
  std::vector<std::vector<int>> readers_;
  std::vector<int> producers_;
};

// A copy with bodies of its own; constants and symbols are shared.
std::shared_ptr<Graph> deep_copy(const Graph& graph);

// Sorts the nodes so that every value is made before it is read; throws InvalidGraph on a cycle, naming a node of it.
void sort_topologically(Graph& graph);

// Checks what every pass must keep: ids in range, one producer a value, order, arities of captures, bodies closed.
// Throws InvalidGraph with what is wrong.
void verify(const Graph& graph);

// A listing that a person can read: one line a node, with types and shapes.
std::string print(const Graph& graph);

// "Conv node 'layer1.0.conv1' (output 'relu_1')", for messages.
std::string describe(const Graph& graph, const Node& node);
// The same without the graph: "Conv node 'layer1.0.conv1'".
std::string describe(const Node& node);
// "float[batch,3,224,224]", "seq(tensor(int64))", "float[...]" where the rank is not known.
std::string describe(const ValueType& type, const SymbolTable& symbols);

}  // namespace fastort
