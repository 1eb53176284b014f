#include "graph/graph.h"

#include <algorithm>
#include <utility>

namespace fastort {

ValueId Graph::add_value(std::string value_name, ValueType type) {
  values.push_back({std::move(value_name), std::move(type), nullptr});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::add_constant(std::string value_name, Tensor tensor) {
  const ValueId id = add_value(std::move(value_name), ValueType::tensor(tensor.type(), tensor.shape()));
  values.back().constant = std::make_shared<const Tensor>(std::move(tensor));
  return id;
}

bool Graph::is_output(ValueId id) const { return std::find(outputs.begin(), outputs.end(), id) != outputs.end(); }

ValueId Graph::find(std::string_view value_name) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == value_name) return static_cast<ValueId>(i);
  return kNoValue;
}

Uses::Uses(const Graph& graph) : readers_(graph.values.size()), producers_(graph.values.size(), -1) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId id : graph.nodes[i].inputs)
      if (id != kNoValue) readers_[static_cast<size_t>(id)].push_back(static_cast<int>(i));
    for (ValueId id : graph.nodes[i].outputs)
      if (id != kNoValue) producers_[static_cast<size_t>(id)] = static_cast<int>(i);
  }
  for (ValueId id : graph.outputs) readers_[static_cast<size_t>(id)].push_back(-1);
}

}  // namespace fastort
