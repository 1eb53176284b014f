#include "onnx/importer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "onnx/schemas.h"
#include "onnx/text.h"

namespace fastort {
namespace {

std::string function_key(const std::string& domain, const std::string& name, const std::string& overload) {
  return canonical_domain(domain) + '\n' + name + '\n' + overload;
}

int clamp_version(int64_t version) {
  return static_cast<int>(std::min<int64_t>(version, std::numeric_limits<int>::max()));
}

bool is_sparse_output(const onnx::GraphProto& graph, const std::string& name) {
  const auto named = [&](const onnx::ValueInfoProto& info) { return info.name() == name; };
  const auto output = std::find_if(graph.output().begin(), graph.output().end(), named);
  return output != graph.output().end() && output->type().has_sparse_tensor_type() &&
         std::none_of(graph.input().begin(), graph.input().end(), named);
}

}  // namespace

Importer::Importer(const onnx::ModelProto& model, const LoadOptions& options, ExternalFiles& files,
                   std::unordered_map<size_t, RawData> payloads, ModelInfo& info)
    : model_(model), options_(options), files_(files), payloads_(std::move(payloads)), info_(info) {
  for (const auto& [domain, version] : info.opsets) opsets_[domain] = clamp_version(version);
  for (const auto& function : model.functions())
    functions_[function_key(function.domain(), function.name(), function.overload())] = &function;
}

const onnx::FunctionProto* Importer::local_function(const onnx::NodeProto& proto) const {
  if (functions_.empty()) return nullptr;
  const auto found = functions_.find(function_key(proto.domain(), proto.op_type(), proto.overload()));
  return found == functions_.end() ? nullptr : found->second;
}

std::shared_ptr<Graph> Importer::import_main() {
  GraphBuilder builder(symbols_, nullptr, options_);
  current_ = &builder;
  types_.override_dimensions(options_.free_dimensions_by_name, options_.free_dimensions_by_denotation, model_.graph());
  Scope scope{builder, nullptr, opsets_, nullptr};
  import_graph(model_.graph(), scope, true);
  return builder.shared_graph();
}

void Importer::import_graph(const onnx::GraphProto& graph, Scope& scope, bool is_main) {
  scope.builder.graph().name = clean_utf8(graph.name());
  for (const auto& input : graph.input()) scope.builder.reserve(input.name());
  for (const auto& tensor : graph.initializer()) scope.builder.reserve(tensor.name());
  for (const auto& node : graph.node())
    for (const std::string& output : node.output()) scope.builder.reserve(output);
  for (const auto& info : graph.value_info()) scope.types[info.name()] = &info.type();
  for (const auto& output : graph.output()) scope.types[output.name()] = &output.type();

  import_initializers(graph, scope, is_main);
  import_inputs(graph, scope, is_main);
  import_nodes(graph.node(), scope);
  import_outputs(graph, scope);
}

Tensor Importer::initializer(const onnx::TensorProto& proto, size_t index, bool is_main) {
  if (is_main) {
    const auto replaced = options_.external_initializers.find(proto.name());
    if (replaced != options_.external_initializers.end()) {
      const Tensor& tensor = replaced->second;
      Shape shape;
      for (const int64_t dim : proto.dims()) shape.push_back(dim);
      if (static_cast<int>(tensor.type()) != proto.data_type() || !(tensor.shape() == shape))
        invalid_argument("External initializer '" + proto.name() + "' is a " + describe(tensor) +
                         ", but the model declares another type or shape: " + to_string(shape));
      return tensor;
    }
    const auto payload = payloads_.find(index);
    if (payload != payloads_.end()) return read_tensor(proto, &payload->second, &files_);
  }
  return read_tensor(proto, nullptr, &files_);
}

// A sparse initializer is held dense, unless it is a result that is to be sparse.
void Importer::import_sparse_constant(const onnx::SparseTensorProto& proto, Scope& scope) {
  auto value = read_sparse(proto, &files_);
  const std::string& name = proto.values().name();
  Node node;
  node.domain = "fastort";
  node.op_type = "SparseConstant";
  node.name = value_name(name, scope);
  node.origin = {node.name, node.op_type, {}};
  node.outputs = {
      scope.builder.add_value(node.name, {ValueKind::SparseTensor, value->values.type(), true, value->shape, nullptr})};
  if (!scope.names.emplace(name, node.outputs[0]).second)
    fail(ErrorCode::Fail, "This is an invalid model. Error: Duplicate definition of name (" + name + ").");
  node.attributes.set("value", std::move(value));
  scope.builder.append(std::move(node));
}

void Importer::import_initializers(const onnx::GraphProto& graph, Scope& scope, bool is_main) {
  const auto add = [&](const std::string& name, Tensor tensor) {
    if (name.empty()) invalid_graph("This is an invalid model. An initializer has no name");
    // Of two with the same name the last one counts.
    const auto found = scope.names.find(name);
    if (found != scope.names.end()) {
      scope.builder.graph().value(found->second).type = ValueType::tensor(tensor.type(), tensor.shape());
      scope.builder.graph().value(found->second).constant = std::make_shared<const Tensor>(std::move(tensor));
      return;
    }
    scope.names.emplace(name, scope.builder.add_constant(value_name(name, scope), std::move(tensor)));
  };
  for (int i = 0; i < graph.initializer_size(); ++i)
    add(graph.initializer(i).name(), initializer(graph.initializer(i), static_cast<size_t>(i), is_main));
  for (const auto& sparse : graph.sparse_initializer()) {
    if (is_sparse_output(graph, sparse.values().name()))
      import_sparse_constant(sparse, scope);
    else
      add(sparse.values().name(), read_dense(sparse, &files_));
  }
}

void Importer::import_inputs(const onnx::GraphProto& graph, Scope& scope, bool is_main) {
  // Before IR 4 every initializer had to be an input too, and was a constant all the same.
  const bool overridable = is_main && model_.ir_version() >= 4;
  std::unordered_map<std::string, bool> seen;
  for (const auto& input : graph.input()) {
    if (!seen.emplace(input.name(), true).second)
      fail(ErrorCode::Fail, "Error: Duplicate definition-site for (" + input.name() + ").");
    const auto constant = scope.names.find(input.name());
    if (constant != scope.names.end()) {
      if (overridable) scope.builder.set_overridable(constant->second);
      continue;
    }
    ValueType type = types_.read(input.type(), input.name());
    if (is_main && type.kind == ValueKind::Unknown)
      invalid_graph("This is an invalid model. Graph input '" + input.name() + "' has no type");
    const ValueId id = scope.builder.add_value(value_name(input.name(), scope), std::move(type));
    scope.names.emplace(input.name(), id);
    scope.builder.graph().inputs.push_back(id);
  }
}

void Importer::import_outputs(const onnx::GraphProto& graph, Scope& scope) {
  for (const auto& output : graph.output()) {
    const std::optional<ValueId> id = find(output.name(), scope);
    if (!id || *id == kNoValue)
      fail(ErrorCode::Fail,
           "This is an invalid model. Graph output (" + output.name() + ") does not exist in the graph.");
    scope.builder.graph().outputs.push_back(*id);
  }
}

std::unique_ptr<GraphBuilder> Importer::import_body(const onnx::GraphProto& graph, const Scope& scope) {
  auto body = std::make_unique<GraphBuilder>(symbols_, current_, options_);
  GraphBuilder* const outside = current_;
  current_ = body.get();
  Scope inner{*body, &scope, scope.opsets, scope.bindings};
  import_graph(graph, inner, false);
  current_ = outside;
  return body;
}

}  // namespace fastort
