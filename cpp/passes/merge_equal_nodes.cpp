#include <cstring>
#include <unordered_map>

#include "ops/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

template <class T>
void append(std::string& key, const T& item) {
  key.append(reinterpret_cast<const char*>(&item), sizeof(item));
}

// Adds an attribute to the key; false where it cannot be compared cheaply.
struct KeyWriter {
  std::string& key;
  bool operator()(int64_t item) const { return append(key, item), true; }
  bool operator()(float item) const { return append(key, item), true; }
  bool operator()(const std::string& item) const {
    append(key, item.size());
    key += item;
    return true;
  }
  bool operator()(const Tensor& item) const {
    if (item.type() == DataType::String || item.bytes() > 1024) return false;
    append(key, item.type());
    for (Dim dim : item.shape()) append(key, dim);
    append(key, item.shape().rank());
    key.append(reinterpret_cast<const char*>(item.raw()), item.bytes());
    return true;
  }
  template <class T>
  bool operator()(const std::vector<T>& items) const {
    if (items.size() > 1024) return false;
    append(key, items.size());
    for (const T& item : items) {
      if (!(*this)(item)) return false;
    }
    return true;
  }
  bool operator()(const std::shared_ptr<Graph>&) const { return false; }
  bool operator()(const std::shared_ptr<const SparseTensor>&) const { return false; }
  bool operator()(const ValueType&) const { return false; }
};

bool make_key(const Node& node, std::string& key) {
  key = node.domain;
  key += '\n';
  key += node.op_type;
  key += '\n';
  append(key, node.outputs.size());
  for (ValueId id : node.inputs) append(key, id);
  for (const auto& [name, attribute] : node.attributes) {
    key += name;
    append(key, attribute.index());
    if (!std::visit(KeyWriter{key}, attribute)) return false;
  }
  return true;
}

}  // namespace

// Common subexpressions: a node equal to an earlier one gives its readers the earlier one's results.
int merge_equal_nodes(Graph& graph) {
  Sweep sweep(graph);
  std::unordered_map<std::string, int> seen;
  std::unordered_map<ValueId, ValueId> merged;
  std::string key;
  for (int i = 0; i < sweep.node_count(); ++i) {
    Node& node = sweep.node(i);
    for (ValueId& id : node.inputs) {
      if (const auto entry = merged.find(id); entry != merged.end()) id = entry->second;
    }
    const OpDef* op = find_op(node.domain, node.op_type);
    if (!op || (op->flags & kImpure) || !make_key(node, key)) continue;
    const auto [entry, added] = seen.try_emplace(key, i);
    if (added) continue;
    const Node& first = sweep.node(entry->second);
    bool outputs_agree = true;
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (node.outputs[k] == kNoValue) continue;
      outputs_agree &= first.outputs[k] != kNoValue && !graph.is_output(node.outputs[k]);
    }
    if (!outputs_agree) continue;
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (node.outputs[k] != kNoValue) merged[node.outputs[k]] = first.outputs[k];
    }
    sweep.remove(i);
  }
  return sweep.finish();
}

}  // namespace fastort
