#include "plan/program.h"

#include <string>

#include "base/fork.h"

namespace fastort {
namespace {

std::string supported_types(TypeMask mask) {
  std::string text;
  for (int i = 1; i < kDataTypes; ++i) {
    const auto type = static_cast<DataType>(i);
    if (!mask.has(type)) continue;
    if (!text.empty()) text += ", ";
    text += name(type);
  }
  return text;
}

}  // namespace

Program::Program(std::shared_ptr<const Graph> graph) : graph_(std::move(graph)) {
  ops_.reserve(graph_->nodes.size());
  for (const Node& node : graph_->nodes) {
    const OpDef* op = find_op(node.domain, node.op_type);
    if (!op) {
      not_implemented(describe(*graph_, node) + ": fastort has no operator '" + node.op_type + "' of domain '" +
                      (node.domain.empty() ? "ai.onnx" : node.domain) + "'");
    }
    ops_.push_back(op);
  }
  check_types();

  last_use_.assign(graph_->values.size(), -1);
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    for (ValueId id : graph_->nodes[i].inputs) {
      if (id != kNoValue) last_use_[static_cast<size_t>(id)] = static_cast<int>(i);
    }
  }
  for (ValueId id : graph_->outputs) last_use_[static_cast<size_t>(id)] = static_cast<int>(graph_->nodes.size());
  find_needed_values();
  fed_ = find_live_in(0);
}

void Program::check_types() const {
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    const Node& node = graph_->nodes[i];
    if (!node.has_input(0)) continue;
    const ValueType& type = graph_->value(node.inputs[0]).type;
    if (!type.is_tensor() || type.element == DataType::Undefined || ops_[i]->types.has(type.element)) continue;
    not_implemented(describe(*graph_, node) + ": input '" + graph_->value(node.inputs[0]).name + "' has the type " +
                    type_string(type) + ", and fastort's " + node.op_type + " takes " +
                    supported_types(ops_[i]->types) + "; insert a Cast in front of it");
  }
}

void Program::find_needed_values() {
  needs_value_.assign(graph_->values.size(), false);
  for (size_t i = graph_->nodes.size(); i-- > 0;) {
    const Node& node = graph_->nodes[i];
    // Shape arithmetic: a small integer result that matters makes the operands matter.
    bool reaches = false;
    for (ValueId id : node.outputs) {
      if (id == kNoValue || !needs_value_[static_cast<size_t>(id)]) continue;
      const ValueType& type = graph_->value(id).type;
      reaches |= type.is_tensor() && type.has_shape && type.shape.rank() <= 1 && is_integer(type.element);
    }
    for (int k = 0; k < node.num_inputs(); ++k) {
      if (!node.has_input(k)) continue;
      const bool wanted = k < 32 && (ops_[i]->value_inputs >> k) & 1u;
      const ValueType& type = graph_->value(node.inputs[static_cast<size_t>(k)]).type;
      const bool small = type.is_tensor() && type.has_shape && type.shape.rank() <= 1;
      if (wanted || (reaches && small)) needs_value_[static_cast<size_t>(node.inputs[static_cast<size_t>(k)])] = true;
    }
  }
}

std::vector<ValueId> Program::find_live_in(int begin) const {
  std::vector<bool> made_before(graph_->values.size(), false);
  for (ValueId id : graph_->inputs) made_before[static_cast<size_t>(id)] = true;
  for (int i = 0; i < begin; ++i) {
    for (ValueId id : graph_->nodes[static_cast<size_t>(i)].outputs) {
      if (id != kNoValue) made_before[static_cast<size_t>(id)] = true;
    }
  }
  std::vector<ValueId> live;
  for (size_t id = 0; id < graph_->values.size(); ++id) {
    if (made_before[id] && last_use_[id] >= begin) live.push_back(static_cast<ValueId>(id));
  }
  return live;
}

const std::vector<ValueId>& Program::live_in(int begin) const {
  if (begin == 0) return fed_;
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  auto [entry, added] = live_in_.try_emplace(begin);
  if (added) entry->second = find_live_in(begin);
  return entry->second;
}

}  // namespace fastort
