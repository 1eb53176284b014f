#include "passes/rewrite.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace fastort {

int Sweep::producer_index(ValueId id) const {
  if (id == kNoValue) return -1;
  const int index = uses_.producer(id);
  return index >= 0 && !removed(index) ? index : -1;
}

Node* Sweep::producer(ValueId id) {
  const int index = producer_index(id);
  return index < 0 ? nullptr : &node(index);
}

Node* Sweep::producer(ValueId id, std::string_view op_type, std::string_view domain) {
  Node* maker = producer(id);
  return maker && maker->op_type == op_type && maker->domain == domain ? maker : nullptr;
}

int Sweep::only_reader(ValueId id) const {
  if (!uses_.single(id)) return -1;
  const int index = uses_.of(id)[0];
  return removed(index) ? -1 : index;
}

std::optional<float> Sweep::scalar(ValueId id) const {
  const Tensor* constant = graph_.constant(id);
  if (!constant || constant->count() != 1) return std::nullopt;
  switch (constant->type()) {
    case DataType::Float:
      return *constant->data<float>();
    case DataType::Double:
      return static_cast<float>(*constant->data<double>());
    case DataType::Float16:
      return to_float(*constant->data<Float16>());
    case DataType::BFloat16:
      return to_float(*constant->data<BFloat16>());
    case DataType::Int32:
      return static_cast<float>(*constant->data<int32_t>());
    case DataType::Int64:
      return static_cast<float>(*constant->data<int64_t>());
    default:
      return std::nullopt;
  }
}

bool Sweep::is_scalar(ValueId id, float value, float tolerance) const {
  const auto item = scalar(id);
  return item && std::fabs(*item - value) <= tolerance * std::max(1.0f, std::fabs(value));
}

std::optional<std::vector<int64_t>> Sweep::ints(ValueId id) const {
  const Tensor* constant = graph_.constant(id);
  if (!constant || (constant->type() != DataType::Int64 && constant->type() != DataType::Int32)) return std::nullopt;
  const auto items = to_int64s(*constant);
  return std::vector<int64_t>(items.begin(), items.end());
}

const Shape* Sweep::shape(ValueId id) const {
  const ValueType& type = graph_.value(id).type;
  return type.is_tensor() && type.has_shape ? &type.shape : nullptr;
}

bool Sweep::same_shape(ValueId a, ValueId b) const {
  const Shape* first = shape(a);
  const Shape* second = shape(b);
  return first && second && *first == *second;
}

void Sweep::become(int index, Node replacement, std::vector<std::string> fused) {
  Node& old = node(index);
  replacement.outputs = old.outputs;
  if (replacement.name.empty()) replacement.name = old.name;
  replacement.origin = std::move(old.origin);
  replacement.origin.fused.insert(replacement.origin.fused.end(), fused.begin(), fused.end());
  old = std::move(replacement);
  ++changes_;
}

void Sweep::redirect(ValueId from, ValueId to) {
  redirects_.emplace_back(from, to);
  ++changes_;
}

int Sweep::finish() {
  if (!redirects_.empty()) {
    std::unordered_map<ValueId, ValueId> target;
    for (const auto& [from, to] : redirects_) target[from] = to;
    auto follow = [&](ValueId id) {
      for (auto entry = target.find(id); entry != target.end(); entry = target.find(id)) id = entry->second;
      return id;
    };
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (i < removed_.size() && removed_[i]) continue;
      for (ValueId& id : graph_.nodes[i].inputs) id = follow(id);
    }
    for (ValueId& id : graph_.outputs) id = follow(id);
  }
  size_t kept = 0;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    if (i < removed_.size() && removed_[i]) continue;
    if (kept != i) graph_.nodes[kept] = std::move(graph_.nodes[i]);
    ++kept;
  }
  graph_.nodes.resize(kept);
  return changes_;
}

std::string fused_name(const Node& node) {
  const std::string& op = node.origin.op_type.empty() ? node.op_type : node.origin.op_type;
  const std::string& name = node.origin.node_name.empty() ? node.name : node.origin.node_name;
  return name.empty() ? op : op + " '" + name + "'";
}

std::vector<Graph*> bodies(Node& node) {
  std::vector<Graph*> found;
  for (auto& [name, attribute] : node.attributes) {
    if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) found.push_back(body->get());
  }
  return found;
}

}  // namespace fastort
