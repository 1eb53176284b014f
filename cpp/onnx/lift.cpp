#include "onnx/lift.h"

#include "base/error.h"

namespace fastort {

std::span<const std::span<const LiftRow>> all_lifts() {
  static const std::span<const LiftRow> kLists[] = {
      axes_lifts(),         broadcast_lifts(), norm_lifts(),    resize_lifts(),      misc_lifts(), scan_lifts(),
      experimental_lifts(), ml_lifts(),        contrib_lifts(), transformer_lifts(), type_lifts(), gradient_lifts()};
  return kLists;
}

void Lift::set_input(int i, ValueId id) {
  while (static_cast<int>(node.inputs.size()) <= i) node.inputs.push_back(kNoValue);
  node.inputs[static_cast<size_t>(i)] = id;
}

ValueId Lift::constant(Tensor tensor) {
  GraphBuilder& graph = host_.builder();
  return graph.add_constant(graph.unique(label_ + "/constant"), std::move(tensor));
}

ValueId Lift::ints(std::span<const int64_t> items) { return constant(Tensor::vector<int64_t>(items)); }

ValueId Lift::scalar(int64_t item) { return constant(Tensor::scalar<int64_t>(item)); }

ValueId Lift::scalar_like(float item, ValueId like) {
  switch (element(like)) {
    case DataType::Float:
      return constant(Tensor::scalar<float>(item));
    case DataType::Double:
      return constant(Tensor::scalar<double>(item));
    case DataType::Float16:
      return constant(Tensor::scalar<Float16>(to_float16(item)));
    case DataType::BFloat16:
      return constant(Tensor::scalar<BFloat16>(to_bfloat16(item)));
    default:
      return emit("CastLike", {constant(Tensor::scalar<float>(item)), like});
  }
}

ValueId Lift::fresh(ValueType type) {
  GraphBuilder& graph = host_.builder();
  return graph.add_value(graph.unique(label_ + "/value"), std::move(type));
}

Node Lift::make(std::string_view op, std::vector<ValueId> inputs, std::vector<ValueId> outputs) const {
  Node made;
  made.op_type = op;
  made.name = node.name.empty() ? std::string() : node.name + "/" + made.op_type;
  made.inputs = std::move(inputs);
  made.outputs = std::move(outputs);
  made.origin = node.origin;
  return made;
}

ValueId Lift::emit(std::string_view op, std::vector<ValueId> inputs,
                   std::initializer_list<std::pair<std::string, Attribute>> attributes) {
  const ValueId out = fresh();
  Node made = make(op, std::move(inputs), {out});
  for (const auto& [name, value] : attributes) made.attributes.set(name, value);
  host_.append_newest(std::move(made));
  return out;
}

void Lift::become(std::string_view op, std::vector<ValueId> inputs,
                  std::initializer_list<std::pair<std::string, Attribute>> attributes) {
  newest = true;
  node.op_type = op;
  node.inputs = std::move(inputs);
  node.attributes = {};
  for (const auto& [name, value] : attributes) node.attributes.set(name, value);
}

int Lift::rank(ValueId id) {
  const ValueFacts& facts = host_.builder().facts(id);
  return facts.type.is_tensor() && facts.type.has_shape ? facts.type.shape.rank() : -1;
}

DataType Lift::element(ValueId id) {
  const ValueFacts& facts = host_.builder().facts(id);
  return facts.type.is_tensor() ? facts.type.element : DataType::Undefined;
}

void Lift::ints_to_input(const std::string& attribute, int i) {
  if (!attributes().has(attribute)) return;
  const std::vector<int64_t> items = attributes().get_ints(attribute);
  attributes().erase(attribute);
  set_input(i, ints(items));
}

void Lift::unsupported(const std::string& why) const {
  not_implemented(node.op_type + "-" + std::to_string(version) + " node '" + (node.name.empty() ? label_ : node.name) +
                  "': " + why);
}

void lift_node(Lift& lift, int version) {
  for (const std::span<const LiftRow> rows : all_lifts()) {
    for (const LiftRow& row : rows) {
      if (lift.newest) return;
      if (version >= row.below || row.op != lift.node.op_type || row.domain != lift.node.domain) continue;
      lift.version = version;
      row.lift(lift);
      version = row.below;
    }
  }
}

bool needs_lift(const std::string& domain, const std::string& op, int version) {
  for (const std::span<const LiftRow> rows : all_lifts()) {
    for (const LiftRow& row : rows)
      if (version < row.below && row.op == op && row.domain == domain) return true;
  }
  return false;
}

}  // namespace fastort
