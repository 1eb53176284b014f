#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <onnx/onnx_pb.h>

#include "onnx/external_files.h"
#include "onnx/graph_builder.h"
#include "onnx/lift.h"
#include "onnx/load.h"
#include "onnx/tensor_reader.h"
#include "onnx/types.h"

namespace fastort {

struct Scope;

// An attribute of a function as a call gives it. Names inside a graph are those of the scope that wrote it.
struct BoundAttribute {
  const onnx::AttributeProto* attribute;
  const Scope* scope;
};
using Bindings = std::unordered_map<std::string, BoundAttribute>;
using Opsets = std::map<std::string, int>;

// What the names of one graph or function body mean.
struct Scope {
  GraphBuilder& builder;  // holds the values
  const Scope* parent;    // names that are not found here; none for functions
  const Opsets& opsets;
  const Bindings* bindings;  // of the function around, else nullptr
  std::string prefix = {};   // of the names of nodes and values of a function body
  std::unordered_map<std::string, ValueId> names = {};
  std::unordered_map<std::string, ValueId> wanted = {};  // the values that a function's outputs are to become
  std::unordered_map<std::string, const onnx::TypeProto*> types = {};
};

// Turns the messages of one model into its graph.
class Importer : public LiftHost {
 public:
  Importer(const onnx::ModelProto& model, const LoadOptions& options, ExternalFiles& files,
           std::unordered_map<size_t, RawData> payloads, ModelInfo& info);

  std::shared_ptr<Graph> import_main();

  GraphBuilder& builder() override { return *current_; }
  void append_newest(Node node) override;

 private:
  // importer.cpp: graphs
  void import_inputs(const onnx::GraphProto& graph, Scope& scope, bool is_main);
  void import_sparse_constant(const onnx::SparseTensorProto& proto, Scope& scope);
  void import_initializers(const onnx::GraphProto& graph, Scope& scope, bool is_main);
  Tensor initializer(const onnx::TensorProto& proto, size_t index, bool is_main);
  void import_outputs(const onnx::GraphProto& graph, Scope& scope);
  void import_graph(const onnx::GraphProto& graph, Scope& scope, bool is_main);
  std::unique_ptr<GraphBuilder> import_body(const onnx::GraphProto& graph, const Scope& scope);

  // import_node.cpp: nodes
  void import_nodes(const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, Scope& scope);
  void import_node(const onnx::NodeProto& proto, Scope& scope);
  void import_constant(const onnx::NodeProto& proto, Scope& scope);
  void import_attributes(const onnx::NodeProto& proto, const Scope& scope, Node& node);
  std::vector<ValueId> resolve_inputs(const onnx::NodeProto& proto, const Scope& scope);
  std::vector<ValueId> declare_outputs(const onnx::NodeProto& proto, Scope& scope);
  ValueId declare(const std::string& name, Scope& scope);
  std::string value_name(const std::string& name, const Scope& scope);
  // Nothing for a name that nobody defines; kNoValue for a function's input that a call leaves out.
  std::optional<ValueId> find(const std::string& name, const Scope& scope);
  int opset_of(const onnx::NodeProto& proto, const std::string& domain, const Scope& scope) const;
  bool has_op(const std::string& domain, const std::string& op) const;

  // functions.cpp: expansion
  struct Call {
    std::string prefix;
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;  // values that wait for their producer
    Bindings bindings;
    const Scope* parent;
  };
  const onnx::FunctionProto* local_function(const onnx::NodeProto& proto) const;
  void call_local_function(const onnx::FunctionProto& function, const onnx::NodeProto& proto, Scope& scope);
  void expand_proto(const onnx::NodeProto& proto, int version, Scope& scope);
  void expand_node(const Node& node);
  void expand(const onnx::FunctionProto& function, const Call& call);
  onnx::FunctionProto schema_function(const onnx::NodeProto& proto, std::span<const ValueId> inputs, int version);
  std::vector<onnx::TypeProto> input_types(std::span<const ValueId> inputs);
  [[noreturn]] void refuse_operator(const onnx::NodeProto& proto, int version, std::span<const ValueId> inputs);

  const onnx::ModelProto& model_;
  const LoadOptions& options_;
  ExternalFiles& files_;
  std::unordered_map<size_t, RawData> payloads_;
  ModelInfo& info_;
  std::shared_ptr<SymbolTable> symbols_ = std::make_shared<SymbolTable>();
  TypeReader types_{*symbols_};
  Opsets opsets_;
  std::unordered_map<std::string, const onnx::FunctionProto*> functions_;
  std::vector<std::string> expanding_;
  size_t imported_nodes_ = 0;
  GraphBuilder* current_ = nullptr;  // where lifts append
};

}  // namespace fastort
