#include "onnx/save.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>

#include "base/error.h"
#include "onnx/proto_writer.h"
#include "onnx/schemas.h"
#include "onnx/types.h"

namespace fastort {
namespace {

// A file that takes its name when it is complete: the one of that name before may be mapped, by this session even.
class NewFile {
 public:
  explicit NewFile(std::filesystem::path path)
      : path_(std::move(path)),
        scratch_(path_.string() + ".writing"),
        out_(scratch_, std::ios::binary | std::ios::trunc) {
    if (!out_) fail(ErrorCode::Fail, "Cannot write '" + path_.string() + "'");
  }
  ~NewFile() {
    std::error_code ignored;
    if (!done_) std::filesystem::remove(scratch_, ignored);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write(const void* data, size_t bytes) {
    out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  }
  void close() {
    out_.close();
    std::error_code error;
    if (out_) std::filesystem::rename(scratch_, path_, error);
    if (!out_ || error)
      fail(ErrorCode::Fail,
           "Cannot write '" + path_.string() + "': " + (error ? error.message() : std::string("is the disk full?")));
    done_ = true;
  }

 private:
  const std::filesystem::path path_, scratch_;
  std::ofstream out_;
  bool done_ = false;
};

// Receives the weights that go into a file of their own.
class ExternalWriter {
 public:
  ExternalWriter(const std::filesystem::path& folder, const SaveOptions& options)
      : options_(options), out_(folder / options.external_file) {}

  bool takes(const Tensor& tensor) const {
    return tensor.type() != DataType::String && packed_bits(tensor.type()) >= 8 &&
           tensor.bytes() >= options_.external_threshold;
  }
  void write(const Tensor& tensor, const std::string& name, onnx::TensorProto& proto) {
    proto.set_name(name);
    proto.set_data_type(static_cast<int>(tensor.type()));
    for (const Dim dim : tensor.shape()) proto.add_dims(dim);
    proto.set_data_location(onnx::TensorProto::EXTERNAL);
    const size_t start = align_up(offset_);
    const std::string padding(start - offset_, '\0');
    out_.write(padding.data(), padding.size());
    out_.write(tensor.raw(), tensor.bytes());
    offset_ = start + tensor.bytes();
    add(proto, "location", options_.external_file);
    add(proto, "offset", std::to_string(start));
    add(proto, "length", std::to_string(tensor.bytes()));
  }
  void close() { out_.close(); }

 private:
  static void add(onnx::TensorProto& proto, const char* key, const std::string& value) {
    auto* entry = proto.add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
  const SaveOptions& options_;
  NewFile out_;
  size_t offset_ = 0;
};

// What the graphs around a body have given names to.
struct Names {
  const Names* outer = nullptr;
  std::unordered_map<ValueId, std::string> of_value = {};
  std::unordered_map<const Tensor*, std::string> of_constant = {};

  const std::string* find(const Tensor* tensor) const {
    for (const Names* names = this; names != nullptr; names = names->outer)
      if (const auto found = names->of_constant.find(tensor); found != names->of_constant.end()) return &found->second;
    return nullptr;
  }
};

// Whether the node, written for the newer version of an operator, means the same to the older one. Attributes that came
// with the newer one have defaults under which nothing changes.
bool same_form(const onnx::OpSchema& newer, const onnx::OpSchema& older, const Node& node) {
  if (newer.min_input() != older.min_input() || newer.max_input() != older.max_input() ||
      newer.min_output() != older.min_output() || newer.max_output() != older.max_output())
    return false;
  for (const auto& [name, attribute] : older.attributes()) {
    const auto kept = newer.attributes().find(name);
    if (kept == newer.attributes().end() || kept->second.type != attribute.type ||
        kept->second.default_value.SerializeAsString() != attribute.default_value.SerializeAsString())
      return false;
  }
  for (const auto& [name, attribute] : newer.attributes()) {
    if (!older.attributes().contains(name) && (attribute.required || node.attributes.has(name))) return false;
  }
  return true;
}

// Whether a version of an operator takes the types of the node's values, which must be known.
bool takes(const onnx::OpSchema& schema, const Graph& graph, const Node& node) {
  auto all_taken = [&](std::span<const ValueId> ids, const std::vector<onnx::OpSchema::FormalParameter>& formals) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == kNoValue) continue;
      if (formals.empty()) return false;
      const auto& types = formals[std::min(i, formals.size() - 1)].GetTypes();
      const std::string type = type_string(graph.value(ids[i]).type);
      if (std::none_of(types.begin(), types.end(), [&](const auto* taken) { return *taken == type; })) return false;
    }
    return true;
  };
  const std::span<const ValueId> inputs(node.inputs.data(), static_cast<size_t>(node.num_inputs()));
  return all_taken(inputs, schema.inputs()) && all_taken(node.outputs, schema.outputs());
}

class Writer {
 public:
  Writer(const Model& model, ExternalWriter* external) : model_(model), external_(external) {}

  onnx::ModelProto run() {
    const ModelInfo& info = model_.info;
    onnx::ModelProto proto;
    proto.set_producer_name(info.producer_name);
    proto.set_producer_version(info.producer_version);
    proto.set_domain(info.domain);
    proto.set_doc_string(info.doc_string);
    proto.set_model_version(info.model_version);
    for (const auto& [key, value] : info.metadata) {
      auto* entry = proto.add_metadata_props();
      entry->set_key(key);
      entry->set_value(value);
    }
    domains_[""];
    Names names;
    write_main(*model_.graph, names, *proto.mutable_graph());
    for (const auto& [domain, needed] : domains_) {
      auto* import = proto.add_opset_import();
      import->set_domain(domain);
      import->set_version(opset(domain, needed));
    }
    proto.set_ir_version(ir_version(opset("", domains_[""])));
    return proto;
  }

 private:
  // The oldest opset at which every node means what it means here, so that other engines can read the model; the
  // model's own one where that is newer.
  int64_t opset(const std::string& domain, int64_t needed) const {
    int64_t newest = std::max(1, newest_opset(domain));
    if (const auto last = last_.find(domain); last != last_.end() && last->second >= needed) newest = last->second;
    const auto own = model_.info.opsets.find(domain);
    const int64_t declared = own == model_.info.opsets.end() ? 1 : std::min<int64_t>(own->second, newest);
    return std::clamp<int64_t>(declared, std::max<int64_t>(needed, 1), std::max<int64_t>(newest, needed));
  }

  // The version of the format that came with an opset, but none that lacks what a graph may hold here (IR 10: every
  // element type up to four bits, value infos of functions).
  int64_t ir_version(int64_t onnx_opset) const {
    constexpr std::pair<int64_t, int64_t> kSince[] = {{28, 14}, {25, 13}, {24, 12}, {23, 11}};
    int64_t version = 10;
    for (const auto& [since, ir] : kSince)
      if (onnx_opset >= since) version = std::max(version, ir);
    return std::min<int64_t>(std::max(version, model_.info.ir_version), onnx::Version::IR_VERSION);
  }

  void use_operator(const Graph& graph, const Node& node) {
    int64_t& needed = domains_[node.domain];
    const onnx::OpSchema* schema = find_schema(node.domain, node.op_type, newest_opset(node.domain));
    if (schema && schema->deprecated()) {
      const int64_t last = schema->since_version() - 1;
      const auto [entry, added] = last_.try_emplace(node.domain, last);
      entry->second = std::min(entry->second, last);
      schema = find_schema(node.domain, node.op_type, static_cast<int>(last));
    }
    // What came since is mostly further element types: an older version serves where it takes those of the node.
    constexpr int kWidelyRead = 22;
    while (schema && schema->since_version() > kWidelyRead) {
      const onnx::OpSchema* older = find_schema(node.domain, node.op_type, schema->since_version() - 1);
      if (!older || !same_form(*schema, *older, node) || !takes(*older, graph, node)) break;
      schema = older;
    }
    if (schema) needed = std::max<int64_t>(needed, schema->since_version());
  }

  void write_main(const Graph& graph, Names& names, onnx::GraphProto& proto) {
    proto.set_name(model_.info.graph_name.empty() ? "graph" : model_.info.graph_name);
    proto.set_doc_string(model_.info.graph_doc_string);
    for (const ValueId id : graph.inputs) name(graph, id, names);
    for (const ValueId id : graph.overridable) name(graph, id, names);
    for (const ValueId id : graph.outputs) name(graph, id, names);
    for (const ValueId id : graph.inputs) write_info(graph, id, names, *proto.add_input());
    for (const ValueId id : graph.overridable) write_info(graph, id, names, *proto.add_input());
    for (const ValueId id : graph.outputs) write_info(graph, id, names, *proto.add_output());
    write_nodes(graph, names, proto);
    std::unordered_set<ValueId> named_elsewhere(graph.inputs.begin(), graph.inputs.end());
    named_elsewhere.insert(graph.outputs.begin(), graph.outputs.end());
    for (const Node& node : graph.nodes) {
      for (const ValueId id : node.outputs) {
        if (id == kNoValue || named_elsewhere.contains(id)) continue;
        const ValueType& type = graph.value(id).type;
        if (type.kind != ValueKind::Unknown) write_info(graph, id, names, *proto.add_value_info());
      }
    }
  }

  // The last `captures` inputs of a body are names of the graph around it.
  void write_body(const Graph& graph, const Node& node, const Names& outer, onnx::GraphProto& proto) {
    Names names;
    names.outer = &outer;
    proto.set_name(graph.name.empty() ? "body" : graph.name);
    const size_t formal = graph.inputs.size() - static_cast<size_t>(node.captures);
    for (size_t i = 0; i < static_cast<size_t>(node.captures); ++i) {
      const ValueId outside = node.inputs[node.inputs.size() - static_cast<size_t>(node.captures) + i];
      names.of_value[graph.inputs[formal + i]] = outer.of_value.at(outside);
    }
    for (size_t i = 0; i < formal; ++i) {
      name(graph, graph.inputs[i], names);
      write_info(graph, graph.inputs[i], names, *proto.add_input());
    }
    write_nodes(graph, names, proto);
    std::unordered_set<ValueId> made;
    for (const Node& inner : graph.nodes)
      for (const ValueId id : inner.outputs)
        if (id != kNoValue) made.insert(id);
    for (const ValueId id : graph.outputs) {
      if (made.erase(id) != 0) {
        write_info(graph, id, names, *proto.add_output());
        continue;
      }
      // An output is made inside the body, and once.
      auto* identity = proto.add_node();
      identity->set_op_type("Identity");
      Node handed_on;
      handed_on.op_type = "Identity";
      handed_on.inputs = handed_on.outputs = {id};
      use_operator(graph, handed_on);
      identity->add_input(read(graph, id, names, proto));
      const std::string fresh = unique(graph.value(id).name);
      identity->add_output(fresh);
      write_info(graph, id, names, *proto.add_output());
      proto.mutable_output()->rbegin()->set_name(fresh);
    }
  }

  void write_nodes(const Graph& graph, Names& names, onnx::GraphProto& proto) {
    for (const Node& node : graph.nodes)
      for (const ValueId id : node.outputs)
        if (id != kNoValue) name(graph, id, names);
    for (const Node& node : graph.nodes) {
      // Captured constants are named before a body asks for them.
      std::vector<std::string> inputs;
      for (const ValueId id : node.inputs) inputs.push_back(id == kNoValue ? "" : read(graph, id, names, proto));
      auto* out = proto.add_node();
      out->set_op_type(node.op_type);
      out->set_domain(node.domain);
      out->set_name(node.name);
      use_operator(graph, node);
      for (int i = 0; i < node.num_inputs(); ++i) out->add_input(inputs[static_cast<size_t>(i)]);
      for (const ValueId id : node.outputs) out->add_output(id == kNoValue ? "" : names.of_value.at(id));
      const WriteBody write_graph = [&](const Graph& body, onnx::GraphProto& body_proto) {
        write_body(body, node, names, body_proto);
      };
      for (const auto& [attribute, value] : node.attributes)
        write_attribute(attribute, value, graph.symbols.get(), write_graph, *out->add_attribute());
    }
    for (const ValueId id : graph.outputs) read(graph, id, names, proto);
    for (const ValueId id : graph.overridable) read(graph, id, names, proto);
  }

  // The name under which a value is read here; a constant is written on its first use.
  std::string read(const Graph& graph, ValueId id, Names& names, onnx::GraphProto& proto) {
    const Tensor* constant = graph.constant(id);
    if (constant == nullptr) return names.of_value.at(id);
    const bool has_name = names.of_value.contains(id);
    if (const std::string* known = names.find(constant);
        known != nullptr && (!has_name || *known == names.of_value[id])) {
      names.of_value[id] = *known;
      return *known;
    }
    const std::string& own = name(graph, id, names);
    if (names.of_constant.emplace(constant, own).second || written_.insert(own).second) {
      written_.insert(own);
      if (external_ != nullptr && external_->takes(*constant))
        external_->write(*constant, own, *proto.add_initializer());
      else
        write_tensor(*constant, own, *proto.add_initializer());
    }
    return own;
  }

  const std::string& name(const Graph& graph, ValueId id, Names& names) {
    const auto found = names.of_value.find(id);
    if (found != names.of_value.end()) return found->second;
    const std::string& own = graph.value(id).name;
    return names.of_value.emplace(id, unique(own.empty() ? "value_" + std::to_string(id) : own)).first->second;
  }

  // Names are given once in the whole model, because ONNX lets no body shadow a name around it.
  std::string unique(const std::string& base) {
    std::string candidate = base;
    for (int suffix = 1; !taken_.insert(candidate).second; ++suffix) candidate = base + "_" + std::to_string(suffix);
    return candidate;
  }

  static void write_info(const Graph& graph, ValueId id, const Names& names, onnx::ValueInfoProto& proto) {
    const ValueType& type = graph.value(id).type;
    if (const auto found = names.of_value.find(id); found != names.of_value.end()) proto.set_name(found->second);
    if (type.kind != ValueKind::Unknown) *proto.mutable_type() = write_type(type, graph.symbols.get());
  }

  const Model& model_;
  ExternalWriter* external_;
  std::unordered_set<std::string> taken_, written_;
  std::map<std::string, int64_t> domains_;  // with the opset that their operators need
  std::map<std::string, int64_t> last_;     // opsets of domains behind which an operator is deprecated
};

std::string serialize(const onnx::ModelProto& proto) {
  if (proto.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int>::max()))
    fail(ErrorCode::Fail, "The model does not fit the 2 GB of a protobuf message; write its weights to external data");
  return proto.SerializeAsString();
}

}  // namespace

std::string save_model_bytes(const Model& model) { return serialize(Writer(model, nullptr).run()); }

void save_model_file(const Model& model, const std::string& path, const SaveOptions& options) {
  std::unique_ptr<ExternalWriter> external;
  if (!options.external_file.empty())
    external = std::make_unique<ExternalWriter>(std::filesystem::path(path).parent_path(), options);
  const std::string bytes = serialize(Writer(model, external.get()).run());
  NewFile out(path);
  out.write(bytes.data(), bytes.size());
  if (external) external->close();
  out.close();
}

}  // namespace fastort
