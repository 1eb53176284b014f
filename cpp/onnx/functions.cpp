#include <algorithm>

#include "base/error.h"
#include "onnx/importer.h"
#include "onnx/proto_writer.h"
#include "onnx/schemas.h"
#include "onnx/text.h"

namespace fastort {
namespace {

constexpr size_t kMaxDepth = 200;

std::string full_name(const onnx::FunctionProto& function) {
  const std::string domain = function.domain().empty() ? "" : function.domain() + ".";
  return domain + function.name() + (function.overload().empty() ? "" : ":" + function.overload());
}

std::string call_prefix(const onnx::NodeProto& proto, const Scope& scope) {
  const std::string name = !proto.name().empty() ? proto.name() : proto.output_size() != 0 ? proto.output(0) : "call";
  return scope.prefix + clean_utf8(name) + "/";
}

}  // namespace

void Importer::call_local_function(const onnx::FunctionProto& function, const onnx::NodeProto& proto, Scope& scope) {
  const auto refuse = [&](const std::string& why) {
    invalid_graph("This is an invalid model. In " + describe_node(proto) + ": " + why);
  };
  if (proto.input_size() > function.input_size())
    refuse("it has " + std::to_string(proto.input_size()) + " inputs, but the function takes " +
           std::to_string(function.input_size()));
  if (proto.output_size() > function.output_size())
    refuse("it has " + std::to_string(proto.output_size()) + " outputs, but the function makes " +
           std::to_string(function.output_size()));
  Call call{call_prefix(proto, scope), resolve_inputs(proto, scope), {}, {}, nullptr};
  for (const auto& attribute : function.attribute_proto()) call.bindings[attribute.name()] = {&attribute, nullptr};
  for (const auto& attribute : proto.attribute()) {
    const auto& names = function.attribute();
    if (std::find(names.begin(), names.end(), attribute.name()) == names.end() &&
        !call.bindings.contains(attribute.name())) {
      if (attribute.name().starts_with("__")) continue;
      refuse("Unrecognized attribute: " + attribute.name() + " for function " + full_name(function));
    }
    if (attribute.ref_attr_name().empty()) {
      call.bindings[attribute.name()] = {&attribute, &scope};
    } else if (scope.bindings != nullptr) {
      const auto found = scope.bindings->find(attribute.ref_attr_name());
      if (found != scope.bindings->end()) call.bindings[attribute.name()] = found->second;
    }
  }
  call.outputs = declare_outputs(proto, scope);
  expand(function, call);
}

void Importer::expand(const onnx::FunctionProto& function, const Call& call) {
  const std::string name = full_name(function);
  const auto same = std::find(expanding_.begin(), expanding_.end(), name);
  if (same != expanding_.end()) {
    std::string cycle;
    for (auto it = same; it != expanding_.end(); ++it) cycle += *it + " calls ";
    invalid_graph("This is an invalid model. Functions must not be recursive: " + cycle + name);
  }
  if (expanding_.size() >= kMaxDepth)
    not_implemented("Functions are nested more than " + std::to_string(kMaxDepth) + " deep at '" + name + "'");
  expanding_.push_back(name);

  Opsets opsets;
  for (const auto& import : function.opset_import())
    opsets[canonical_domain(import.domain())] = static_cast<int>(std::clamp<int64_t>(import.version(), 0, 1 << 30));
  for (const auto& [domain, version] : opsets_) opsets.emplace(domain, version);

  Scope scope{*current_, call.parent, opsets, &call.bindings, call.prefix};
  for (int i = 0; i < function.input_size(); ++i) {
    const auto index = static_cast<size_t>(i);
    const ValueId id = index < call.inputs.size() ? call.inputs[index] : kNoValue;
    scope.names.emplace(function.input(i), id);
  }
  for (size_t i = 0; i < call.outputs.size(); ++i)
    if (call.outputs[i] != kNoValue) scope.wanted.emplace(function.output(static_cast<int>(i)), call.outputs[i]);
  for (const std::string& input : function.input()) scope.wanted.erase(input);
  import_nodes(function.node(), scope);

  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (call.outputs[i] == kNoValue) continue;
    const std::string& formal = function.output(static_cast<int>(i));
    const std::optional<ValueId> id = find(formal, scope);
    if (!id || *id == kNoValue)
      invalid_graph("This is an invalid model. Function '" + name + "' does not make its output '" + formal + "'");
    if (*id == call.outputs[i]) continue;
    Node identity;
    identity.op_type = "Identity";
    identity.name = call.prefix + "Identity";
    identity.inputs = {*id};
    identity.outputs = {call.outputs[i]};
    identity.origin = {identity.name, "Identity", {}};
    append_newest(std::move(identity));
  }
  expanding_.pop_back();
}

std::vector<onnx::TypeProto> Importer::input_types(std::span<const ValueId> inputs) {
  std::vector<onnx::TypeProto> types;
  for (const ValueId id : inputs) {
    onnx::TypeProto type;
    if (id != kNoValue) type = write_type(current_->facts(id).type, nullptr);
    types.push_back(std::move(type));
  }
  return types;
}

void Importer::refuse_operator(const onnx::NodeProto& proto, int version, std::span<const ValueId> inputs) {
  std::string types;
  for (const ValueId id : inputs) {
    types += types.empty() ? "" : ", ";
    if (id == kNoValue) continue;
    const ValueFacts& facts = current_->facts(id);
    types += facts.type.kind == ValueKind::Unknown ? "?" : type_string(facts.type);
  }
  const std::string domain = canonical_domain(proto.domain());
  // Domains that ONNX Runtime writes into a model when it is told to save what it optimised.
  const bool optimised = domain == "com.microsoft.nchwc" || domain == "com.ms.internal.nhwc";
  not_implemented("Could not find an implementation for " + proto.op_type() + "(" + std::to_string(version) +
                  ") of domain '" + (domain.empty() ? "ai.onnx" : domain) + "' in " + describe_node(proto) +
                  " with inputs (" + types + ")" +
                  (optimised ? ". ONNX Runtime optimised this model for one kind of machine; save it with the graph "
                               "optimisation level ORT_ENABLE_EXTENDED or below, or take the original model"
                   : domain.empty() || domain.starts_with("ai.onnx")
                       ? ""
                       : ". An operator of your own is added with SessionOptions.register_operator or "
                         "register_custom_ops_library"));
}

onnx::FunctionProto Importer::schema_function(const onnx::NodeProto& proto, std::span<const ValueId> inputs,
                                              int version) {
  const std::string domain = canonical_domain(proto.domain());
  const int newest = newest_opset(domain);
  const onnx::OpSchema* schema = find_schema(domain, proto.op_type(), newest);
  onnx::FunctionProto function;
  bool built = false;
  try {
    if (schema != nullptr && schema->HasFunction()) {
      if (const onnx::FunctionProto* body = schema->GetFunction(newest)) {
        function = *body;
        built = true;
      }
    }
    if (!built && schema != nullptr && schema->HasContextDependentFunction()) {
      const onnx::FunctionBodyBuildContextImpl context(proto, input_types(inputs));
      built = schema->BuildContextDependentFunction(context, function, newest);
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    built = false;  // onnx has no body for these types
  }
  if (!built) refuse_operator(proto, version, inputs);
  return function;
}

void Importer::expand_proto(const onnx::NodeProto& proto, int version, Scope& scope) {
  Call call{call_prefix(proto, scope), resolve_inputs(proto, scope), {}, {}, nullptr};
  onnx::NodeProto resolved = proto;
  resolved.clear_attribute();
  std::vector<const Scope*> written_in;
  for (const auto& attribute : proto.attribute()) {
    if (attribute.ref_attr_name().empty()) {
      *resolved.add_attribute() = attribute;
      written_in.push_back(&scope);
    } else if (scope.bindings != nullptr) {
      const auto found = scope.bindings->find(attribute.ref_attr_name());
      if (found == scope.bindings->end()) continue;
      *resolved.add_attribute() = *found->second.attribute;
      resolved.mutable_attribute()->rbegin()->set_name(attribute.name());
      written_in.push_back(found->second.scope);
    }
  }
  const onnx::FunctionProto function = schema_function(resolved, call.inputs, version);
  const onnx::OpSchema* schema =
      find_schema(canonical_domain(proto.domain()), proto.op_type(), newest_opset(canonical_domain(proto.domain())));
  for (const auto& [name, attribute] : schema->attributes())
    if (!attribute.default_value.name().empty()) call.bindings[name] = {&attribute.default_value, nullptr};
  for (int i = 0; i < resolved.attribute_size(); ++i)
    call.bindings[resolved.attribute(i).name()] = {&resolved.attribute(i), written_in[static_cast<size_t>(i)]};
  // A body that onnx makes for this call may hold the call's own subgraph, which reads names from around the call.
  if (schema->HasContextDependentFunction()) call.parent = &scope;
  call.outputs = declare_outputs(proto, scope);
  expand(function, call);
}

void Importer::expand_node(const Node& node) {
  onnx::NodeProto proto;
  proto.set_domain(node.domain);
  proto.set_op_type(node.op_type);
  proto.set_name(node.name);
  for (size_t i = 0; i < node.inputs.size(); ++i)
    proto.add_input(node.inputs[i] == kNoValue ? "" : "input" + std::to_string(i));
  for (size_t i = 0; i < node.outputs.size(); ++i)
    proto.add_output(node.outputs[i] == kNoValue ? "" : "output" + std::to_string(i));
  for (const auto& [name, value] : node.attributes)
    write_attribute(name, value, nullptr, nullptr, *proto.add_attribute());
  const int newest = newest_opset(node.domain);
  const onnx::FunctionProto function = schema_function(proto, node.inputs, newest);
  Call call{node.name + "/", node.inputs, node.outputs, {}, nullptr};
  const onnx::OpSchema* schema = find_schema(node.domain, node.op_type, newest);
  for (const auto& [name, attribute] : schema->attributes())
    if (!attribute.default_value.name().empty()) call.bindings[name] = {&attribute.default_value, nullptr};
  for (const auto& attribute : proto.attribute()) call.bindings[attribute.name()] = {&attribute, nullptr};
  expand(function, call);
}

}  // namespace fastort
