#include "passes/rewrite.h"

#include <algorithm>
#include <cmath>

#include "ops/core/infer.h"
#include "ops/op.h"

namespace fastort {

Sweep::Sweep(Graph& graph)
    : graph_(graph),
      count_(static_cast<int>(graph.nodes.size())),
      readers_(graph.values.size()),
      producers_(graph.values.size(), -1),
      removed_(graph.nodes.size(), false) {
  for (int i = 0; i < count_; ++i) register_node(i);
  for (ValueId id : graph.outputs) readers_[static_cast<size_t>(id)].push_back(-1);
  for (const auto& readers : readers_) was_read_.push_back(!readers.empty());
}

void Sweep::register_node(int index) {
  const Node& own = node(index);
  for (ValueId id : own.inputs)
    if (id != kNoValue) readers_[static_cast<size_t>(id)].push_back(index);
  for (ValueId id : own.outputs)
    if (id != kNoValue) producers_[static_cast<size_t>(id)] = index;
}

void Sweep::forget(int index) {
  for (ValueId id : node(index).inputs) {
    if (id == kNoValue) continue;
    auto& readers = readers_[static_cast<size_t>(id)];
    const auto own = std::find(readers.begin(), readers.end(), index);
    if (own != readers.end()) readers.erase(own);
  }
}

int Sweep::producer_index(ValueId id) const {
  if (id == kNoValue || static_cast<size_t>(id) >= producers_.size()) return -1;
  const int index = producers_[static_cast<size_t>(id)];
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

const std::vector<int>& Sweep::readers(ValueId id) const {
  static const std::vector<int> kNone;  // of a constant that was added meanwhile
  return static_cast<size_t>(id) < readers_.size() ? readers_[static_cast<size_t>(id)] : kNone;
}

int Sweep::only_reader(ValueId id) const { return single(id) ? readers(id)[0] : -1; }

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

void Sweep::remove(int index) {
  if (!removed(index)) forget(index);
  removed_[static_cast<size_t>(index)] = true;
  ++changes_;
}

void Sweep::become(int index, Node replacement, std::vector<std::string> fused) {
  forget(index);
  Node& old = node(index);
  replacement.outputs = old.outputs;
  if (replacement.name.empty()) replacement.name = old.name;
  replacement.origin = std::move(old.origin);
  replacement.origin.fused.insert(replacement.origin.fused.end(), fused.begin(), fused.end());
  // A constant that was added meanwhile has no readers yet.
  readers_.resize(graph_.values.size());
  producers_.resize(graph_.values.size(), -1);
  old = std::move(replacement);
  register_node(index);
  ++changes_;
}

void Sweep::take_output(int index, int from) {
  const ValueId id = node(from).outputs[0];
  remove(from);
  node(index).outputs.push_back(id);
  producers_[static_cast<size_t>(id)] = index;
}

ValueId Sweep::emit(int before, Node added) {
  const OpDef* op = find_op(added.domain, added.op_type);
  if (!op) fail(ErrorCode::Fail, "a pass makes '" + added.op_type + "', which is no operator");
  std::vector<ValueType> types(added.inputs.size());
  std::vector<KnownValue> known(added.inputs.size());
  for (size_t i = 0; i < added.inputs.size(); ++i) {
    if (added.inputs[i] == kNoValue) continue;
    types[i] = graph_.value(added.inputs[i]).type;
    known[i].tensor = graph_.constant(added.inputs[i]);
  }
  added.outputs = {kNoValue};
  const Node& anchor = node(before);
  const std::string base = anchor.outputs.empty() ? anchor.name : graph_.value(anchor.outputs[0]).name;
  const ValueId out = graph_.add_value(base + "_" + added.op_type + std::to_string(graph_.values.size()));
  added.outputs[0] = out;
  graph_.value(out).type = infer_node(*op, added, types, known, *graph_.symbols).types[0];
  if (added.origin.op_type.empty()) {
    added.origin.op_type = added.op_type;
    added.origin.node_name = anchor.origin.node_name;
  }
  readers_.resize(graph_.values.size());
  producers_.resize(graph_.values.size(), -1);
  const int index = count_ + static_cast<int>(added_.size());
  // In front of an added node: where that node stands, because it was added earlier.
  while (before >= count_) before = added_[static_cast<size_t>(before - count_)].before;
  added_.push_back({before, std::move(added)});
  removed_.push_back(false);
  register_node(index);
  ++changes_;
  return out;
}

void Sweep::redirect(ValueId from, ValueId to) {
  std::vector<int>& readers = readers_[static_cast<size_t>(from)];
  for (int reader : readers) {
    std::vector<ValueId>& ids = reader < 0 ? graph_.outputs : node(reader).inputs;
    std::replace(ids.begin(), ids.end(), from, to);
    readers_[static_cast<size_t>(to)].push_back(reader);
  }
  readers.clear();
  ++changes_;
}

void Sweep::remove_unread() {
  std::vector<bool> read(graph_.values.size(), false);
  for (ValueId id : graph_.outputs) read[static_cast<size_t>(id)] = true;
  std::vector<bool> dead(graph_.nodes.size(), false);
  for (size_t i = graph_.nodes.size(); i-- > 0;) {
    const Node& own = graph_.nodes[i];
    bool any_read = false, lost_readers = false;
    for (ValueId id : own.outputs) {
      if (id == kNoValue) continue;
      const auto at = static_cast<size_t>(id);
      any_read |= read[at];
      lost_readers |= at >= was_read_.size() || was_read_[at];
    }
    dead[i] = !any_read && lost_readers;
    if (dead[i]) continue;
    for (ValueId id : own.inputs)
      if (id != kNoValue) read[static_cast<size_t>(id)] = true;
  }
  std::erase_if(graph_.nodes, [&](const Node& own) { return dead[static_cast<size_t>(&own - graph_.nodes.data())]; });
}

int Sweep::finish() {
  if (changes_ == 0) return 0;
  std::vector<std::vector<Added*>> in_front(static_cast<size_t>(count_));
  for (size_t k = 0; k < added_.size(); ++k) {
    if (!removed_[static_cast<size_t>(count_) + k])
      in_front[static_cast<size_t>(added_[k].before)].push_back(&added_[k]);
  }
  std::vector<Node> nodes;
  nodes.reserve(graph_.nodes.size() + added_.size());
  for (int i = 0; i < count_; ++i) {
    for (Added* added : in_front[static_cast<size_t>(i)]) nodes.push_back(std::move(added->node));
    if (!removed(i)) nodes.push_back(std::move(graph_.nodes[static_cast<size_t>(i)]));
  }
  graph_.nodes = std::move(nodes);
  remove_unread();
  return changes_;
}

Node make_node(std::string op_type, std::vector<ValueId> inputs) {
  Node node;
  node.op_type = std::move(op_type);
  node.inputs = std::move(inputs);
  return node;
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
