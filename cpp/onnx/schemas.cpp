#include "onnx/schemas.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <onnx/defs/data_type_utils.h>

#include "base/error.h"
#include "onnx/contrib_schemas.h"

namespace fastort {
namespace {

// The schemas that were asked for. onnx's own registry makes all of them, seven hundred, before it answers for one.
class Schemas {
 public:
  Schemas() {
    for (const OnnxSchemaRow& row : onnx_schema_rows()) entries_[row.op].emplace_back(&row);
    for (auto& [op, versions] : entries_)
      std::ranges::sort(versions, std::greater(), [](const Entry& entry) { return entry.row->since; });
  }

  const onnx::OpSchema* find(std::string_view domain, std::string_view op, int version) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(op);
    if (found == entries_.end()) return nullptr;
    const std::string_view set = set_of(domain);
    for (Entry& entry : found->second) {
      if (entry.row->set != set || entry.row->since > version) continue;
      if (!entry.schema) {
        entry.schema = std::make_unique<onnx::OpSchema>(entry.row->make());
        entry.schema->Finalize();
      }
      if (entry.schema->domain() == domain) return entry.schema.get();
    }
    return nullptr;
  }

 private:
  struct Entry {
    const OnnxSchemaRow* row;
    std::unique_ptr<onnx::OpSchema> schema = nullptr;
    explicit Entry(const OnnxSchemaRow* of) : row(of) {}
  };

  static std::string_view set_of(std::string_view domain) {
    if (domain.empty()) return "Onnx";
    if (domain == onnx::AI_ONNX_ML_DOMAIN) return "OnnxML";
    return domain.starts_with(onnx::AI_ONNX_PREVIEW_DOMAIN) ? "OnnxPreview" : "";
  }

  std::mutex mutex_;
  std::unordered_map<std::string_view, std::vector<Entry>> entries_;
};

[[noreturn]] void refuse(const onnx::NodeProto& node, const std::string& why) {
  invalid_graph("This is an invalid model. In " + describe_node(node) + ": " + why);
}

std::string range(int min, int max) {
  const std::string upper = max == std::numeric_limits<int>::max() ? "any number" : std::to_string(max);
  return "[min=" + std::to_string(min) + ", max=" + upper + "]";
}

void check_inputs(const onnx::NodeProto& node, const onnx::OpSchema& schema) {
  const int count = node.input_size();
  if (count < schema.min_input() || count > schema.max_input())
    refuse(node, "it has input size " + std::to_string(count) + " not in range " +
                     range(schema.min_input(), schema.max_input()));
  for (int i = 0; i < count && i < static_cast<int>(schema.inputs().size()); ++i) {
    const auto& formal = schema.inputs()[static_cast<size_t>(i)];
    if (formal.GetOption() == onnx::OpSchema::Single && node.input(i).empty())
      refuse(node, "its input " + std::to_string(i) + " ('" + formal.GetName() + "') is required but left out");
  }
}

std::string names_of(const auto& attributes) {
  std::string names;
  for (const auto& [name, attribute] : attributes) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

void check_attributes(const onnx::NodeProto& node, const onnx::OpSchema& schema) {
  const auto& known = schema.attributes();
  for (const auto& attribute : node.attribute()) {
    const auto found = known.find(attribute.name());
    if (found == known.end()) {
      if (attribute.name().starts_with("__")) continue;
      refuse(node, "Unrecognized attribute: " + attribute.name() + " for operator " + node.op_type() +
                       ", which knows " + names_of(known));
    }
    const auto expected = found->second.type;
    const auto actual = attribute_type(attribute);
    if (actual == expected) continue;
    // A scalar attribute without any field is its zero.
    if (actual == onnx::AttributeProto::UNDEFINED) continue;
    refuse(node, "Mismatched attribute type in '" + node.name() + " : " + attribute.name() + "'. Expected: '" +
                     onnx::AttributeProto_AttributeType_Name(expected) + "', actual: '" +
                     onnx::AttributeProto_AttributeType_Name(actual) + "'");
  }
  for (const auto& [name, attribute] : known) {
    if (!attribute.required) continue;
    bool present = false;
    for (const auto& given : node.attribute()) present = present || given.name() == name;
    if (!present) refuse(node, "Required attribute '" + name + "' is missing.");
  }
}

// onnx's unique name of "tensor(float)" and so on.
onnx::DataType tensor_of(DataType element) {
  static const auto names = [] {
    std::array<onnx::DataType, kDataTypes> all = {};
    for (int i = 1; i < kDataTypes; ++i) {
      onnx::TypeProto type;
      type.mutable_tensor_type()->set_elem_type(i);
      all[static_cast<size_t>(i)] = onnx::Utils::DataTypeUtils::ToType(type);
    }
    return all;
  }();
  return names[static_cast<size_t>(element)];
}

// Nothing is known where the schema lists no types.
bool takes(const onnx::OpSchema& schema, int i, DataType element) {
  const auto& formals = schema.inputs();
  if (formals.empty()) return true;
  const auto& types = formals[std::min(static_cast<size_t>(i), formals.size() - 1)].GetTypes();
  return types.empty() || types.contains(tensor_of(element));
}

}  // namespace

std::string canonical_domain(const std::string& domain) { return domain == "ai.onnx" ? std::string() : domain; }

int newest_opset(const std::string& domain) {
  const auto& versions = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  const auto found = versions.find(domain);
  return found == versions.end() ? 0 : found->second.second;
}

const onnx::OpSchema* find_schema(const std::string& domain, const std::string& op, int version) {
  static Schemas schemas;
  const onnx::OpSchema* schema = schemas.find(domain, op, version);
  return schema != nullptr ? schema : find_contrib_schema(domain, op);
}

void check_node(const onnx::NodeProto& node, const onnx::OpSchema& schema) {
  check_inputs(node, schema);
  const int count = node.output_size();
  if (count < schema.min_output() || count > schema.max_output())
    refuse(node, "it has output size " + std::to_string(count) + " not in range " +
                     range(schema.min_output(), schema.max_output()));
  check_attributes(node, schema);
}

void check_input_type(const onnx::NodeProto& node, const onnx::OpSchema& schema, int i, DataType element) {
  if (takes(schema, i, element)) return;
  const onnx::OpSchema* newest = find_schema(schema.domain(), schema.Name(), newest_opset(schema.domain()));
  if (newest != nullptr && takes(*newest, i, element)) return;
  invalid_graph("This is an invalid model. Type Error: Type '" + *tensor_of(element) + "' of input parameter (" +
                node.input(i) + ") of operator (" + node.op_type() + ") in node (" + node.name() + ") is invalid.");
}

onnx::AttributeProto_AttributeType attribute_type(const onnx::AttributeProto& attribute) {
  if (attribute.type() != onnx::AttributeProto::UNDEFINED) return attribute.type();
  if (attribute.has_f()) return onnx::AttributeProto::FLOAT;
  if (attribute.has_i()) return onnx::AttributeProto::INT;
  if (attribute.has_s()) return onnx::AttributeProto::STRING;
  if (attribute.has_t()) return onnx::AttributeProto::TENSOR;
  if (attribute.has_g()) return onnx::AttributeProto::GRAPH;
  if (attribute.has_sparse_tensor()) return onnx::AttributeProto::SPARSE_TENSOR;
  if (attribute.has_tp()) return onnx::AttributeProto::TYPE_PROTO;
  if (attribute.floats_size() != 0) return onnx::AttributeProto::FLOATS;
  if (attribute.ints_size() != 0) return onnx::AttributeProto::INTS;
  if (attribute.strings_size() != 0) return onnx::AttributeProto::STRINGS;
  if (attribute.tensors_size() != 0) return onnx::AttributeProto::TENSORS;
  return onnx::AttributeProto::UNDEFINED;
}

std::string describe_node(const onnx::NodeProto& node) {
  const std::string op = node.domain().empty() ? node.op_type() : node.domain() + "." + node.op_type();
  if (!node.name().empty()) return op + " node '" + node.name() + "'";
  return op + " node" + (node.output_size() != 0 ? " (output '" + node.output(0) + "')" : std::string());
}

}  // namespace fastort
