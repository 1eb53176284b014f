#include <algorithm>

#include "base/error.h"
#include "onnx/attribute_reader.h"
#include "onnx/importer.h"
#include "onnx/node_order.h"
#include "onnx/schemas.h"
#include "onnx/text.h"

namespace fastort {
namespace {

// Function bodies that call each other can grow without bound out of a small file.
constexpr size_t kMaxNodes = 2'000'000;

void trim(std::vector<ValueId>& ids) {
  while (!ids.empty() && ids.back() == kNoValue) ids.pop_back();
}

}  // namespace

std::optional<ValueId> Importer::find(const std::string& name, const Scope& scope) {
  for (const Scope* at = &scope; at != nullptr; at = at->parent) {
    const auto found = at->names.find(name);
    if (found == at->names.end()) continue;
    return found->second == kNoValue ? kNoValue : current_->bring(found->second, at->builder);
  }
  return std::nullopt;
}

std::vector<ValueId> Importer::resolve_inputs(const onnx::NodeProto& proto, const Scope& scope) {
  std::vector<ValueId> inputs;
  for (const std::string& name : proto.input()) {
    const std::optional<ValueId> id = name.empty() ? kNoValue : find(name, scope);
    if (!id)
      invalid_argument("Invalid model. Node input '" + name + "' of " + describe_node(proto) +
                       " is not a graph input, initializer, or output of a previous node.");
    inputs.push_back(*id);
  }
  trim(inputs);
  return inputs;
}

std::string Importer::value_name(const std::string& name, const Scope& scope) {
  std::string clean = clean_utf8(name);
  return scope.prefix.empty() && clean == name ? clean : scope.builder.unique(scope.prefix + clean);
}

ValueId Importer::declare(const std::string& name, Scope& scope) {
  ValueId id = kNoValue;
  if (const auto found = scope.wanted.find(name); found != scope.wanted.end()) {
    id = found->second;
  } else {
    ValueType type;
    if (const auto declared = scope.types.find(name); declared != scope.types.end())
      type = types_.read(*declared->second, name);
    id = scope.builder.add_value(value_name(name, scope), std::move(type));
  }
  if (!scope.names.emplace(name, id).second)
    fail(ErrorCode::Fail, "This is an invalid model. Error: Duplicate definition of name (" + name + ").");
  return id;
}

std::vector<ValueId> Importer::declare_outputs(const onnx::NodeProto& proto, Scope& scope) {
  std::vector<ValueId> outputs;
  for (const std::string& name : proto.output()) outputs.push_back(name.empty() ? kNoValue : declare(name, scope));
  trim(outputs);
  return outputs;
}

bool Importer::has_op(const std::string& domain, const std::string& op) const {
  return !options_.has_op || options_.has_op(domain, op);
}

int Importer::opset_of(const onnx::NodeProto& proto, const std::string& domain, const Scope& scope) const {
  const int newest = newest_opset(domain);
  const auto found = scope.opsets.find(domain);
  if (found != scope.opsets.end()) return newest == 0 ? found->second : std::min(found->second, newest);
  if (newest == 0 && !(options_.has_op && options_.has_op(domain, proto.op_type())))
    invalid_graph("This is an invalid model. In " + describe_node(proto) + ": No opset import for domain '" + domain +
                  "'");
  return newest;
}

void Importer::import_nodes(const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, Scope& scope) {
  for (const onnx::NodeProto* node : in_order(nodes)) import_node(*node, scope);
}

void Importer::import_node(const onnx::NodeProto& proto, Scope& scope) {
  if (++imported_nodes_ > kMaxNodes)
    fail(ErrorCode::Fail, "The model's functions expand to more than " + std::to_string(kMaxNodes) + " nodes");
  if (const onnx::FunctionProto* function = local_function(proto)) {
    call_local_function(*function, proto, scope);
    return;
  }
  const std::string domain = canonical_domain(proto.domain());
  const int version = opset_of(proto, domain, scope);
  const onnx::OpSchema* schema = find_schema(domain, proto.op_type(), version);
  // An operator that was withdrawn keeps its last meaning.
  while (schema != nullptr && schema->deprecated())
    schema = find_schema(domain, proto.op_type(), schema->since_version() - 1);
  // One without a schema never had versions: it has the form of any opset.
  const int form = schema != nullptr ? schema->since_version() : version;
  if (schema != nullptr) {
    check_node(proto, *schema);
  } else if (newest_opset(domain) != 0 && !needs_lift(domain, proto.op_type(), form) &&
             !(options_.has_op && options_.has_op(domain, proto.op_type()))) {
    invalid_graph("This is an invalid model. In " + describe_node(proto) + ": No Op registered for " + proto.op_type() +
                  " with domain_version of " + std::to_string(version));
  }
  if (domain.empty() && proto.op_type() == "Constant") {
    import_constant(proto, scope);
    return;
  }
  if (!needs_lift(domain, proto.op_type(), form) && !has_op(domain, proto.op_type())) {
    expand_proto(proto, version, scope);
    return;
  }

  Node node;
  node.domain = domain;
  node.op_type = proto.op_type();
  node.name = scope.prefix + clean_utf8(proto.name());
  node.origin.node_name = node.name;
  node.origin.op_type = proto.op_type();
  node.inputs = resolve_inputs(proto, scope);
  for (size_t i = 0; schema != nullptr && i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    const ValueType& type = scope.builder.graph().value(node.inputs[i]).type;
    if (type.is_tensor()) check_input_type(proto, *schema, static_cast<int>(i), type.element);
  }
  import_attributes(proto, scope, node);
  node.outputs = declare_outputs(proto, scope);
  std::string label = node.name;
  for (const ValueId id : node.outputs)
    if (label.empty() && id != kNoValue) label = scope.builder.graph().value(id).name;
  Lift lift(*this, node, std::move(label));
  lift_node(lift, form);
  if (node.captures == 0) trim(node.inputs);
  append_newest(std::move(node));
  for (Node& behind : lift.after) append_newest(std::move(behind));
}

void Importer::append_newest(Node node) {
  if (has_op(node.domain, node.op_type))
    current_->append(std::move(node));
  else
    expand_node(node);
}

void Importer::import_constant(const onnx::NodeProto& proto, Scope& scope) {
  const onnx::AttributeProto* value = nullptr;
  onnx::AttributeProto bound;
  for (const auto& attribute : proto.attribute()) {
    value = &attribute;
    if (attribute.ref_attr_name().empty()) continue;
    value = nullptr;
    if (scope.bindings == nullptr) continue;
    const auto found = scope.bindings->find(attribute.ref_attr_name());
    if (found == scope.bindings->end()) continue;
    bound = *found->second.attribute;
    bound.set_name(attribute.name());
    value = &bound;
  }
  if (value == nullptr)
    invalid_graph("This is an invalid model. In " + describe_node(proto) + ": the Constant has no value");
  Tensor tensor = read_constant(*value, files_, describe_node(proto));
  const ValueId id = declare(proto.output(0), scope);
  ValueInfo& info = scope.builder.graph().value(id);
  info.type = ValueType::tensor(tensor.type(), tensor.shape());
  info.constant = std::make_shared<const Tensor>(std::move(tensor));
}

void Importer::import_attributes(const onnx::NodeProto& proto, const Scope& scope, Node& node) {
  std::vector<std::unique_ptr<GraphBuilder>> bodies;
  for (const auto& attribute : proto.attribute()) {
    if (attribute.name().starts_with("__")) continue;
    const onnx::AttributeProto* value = &attribute;
    const Scope* written_in = &scope;
    if (!attribute.ref_attr_name().empty()) {
      if (scope.bindings == nullptr)
        invalid_graph("This is an invalid model. In " + describe_node(proto) + ": attribute '" + attribute.name() +
                      "' refers to the attribute of a function, but stands in none");
      const auto found = scope.bindings->find(attribute.ref_attr_name());
      if (found == scope.bindings->end()) continue;
      value = found->second.attribute;
      if (found->second.scope != nullptr) written_in = found->second.scope;
    }
    if (attribute_type(*value) == onnx::AttributeProto::GRAPH) {
      bodies.push_back(import_body(value->g(), *written_in));
      node.attributes.set(attribute.name(), bodies.back()->shared_graph());
    } else {
      node.attributes.set(attribute.name(), read_attribute(*value, files_, types_, describe_node(proto)));
    }
  }
  std::vector<ValueId> captures;
  for (const auto& body : bodies) {
    for (const ValueId id : body->captured())
      if (std::find(captures.begin(), captures.end(), id) == captures.end()) captures.push_back(id);
  }
  for (const auto& body : bodies) body->append_captures(captures);
  node.captures = static_cast<int>(captures.size());
  node.inputs.insert(node.inputs.end(), captures.begin(), captures.end());
}

}  // namespace fastort
