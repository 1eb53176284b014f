#pragma once

#include <span>
#include <string>

#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>

#include "tensor/data_type.h"

namespace fastort {

// onnx's operator schemas, all versions of all operators; each is made on first use.

// "ai.onnx" is another spelling of "".
std::string canonical_domain(const std::string& domain);

// The newest opset version of a domain that this build knows; 0 for a domain that onnx does not define.
int newest_opset(const std::string& domain);

// What makes the schema of an operator as it is since an opset version of its set: "Onnx" (""), "OnnxML" ("ai.onnx.ml")
// or "OnnxPreview" ("ai.onnx.preview" and "ai.onnx.preview.training").
struct OnnxSchemaRow {
  const char* op;
  const char* set;
  int since;
  onnx::OpSchema (*make)();
};
std::span<const OnnxSchemaRow> onnx_schema_rows();  // generated: cmake/onnx_schemas.cmake

// The operator as the opset `version` of its domain defines it; nullptr where it does not. One that is not of onnx's
// library (contrib_schemas.h) is the same in every version.
const onnx::OpSchema* find_schema(const std::string& domain, const std::string& op, int version);

// Checks counts of inputs and outputs, names and types of attributes. Throws InvalidGraph naming the node.
void check_node(const onnx::NodeProto& node, const onnx::OpSchema& schema);

// Checks that input `i`, a tensor of this element type, is one that the operator takes, at `schema`'s version or at the
// newest. Throws InvalidGraph naming the node.
void check_input_type(const onnx::NodeProto& node, const onnx::OpSchema& schema, int i, DataType element);

// An attribute's type, taken from the field that is set where an old model leaves it out.
onnx::AttributeProto_AttributeType attribute_type(const onnx::AttributeProto& attribute);

// "Conv node 'conv1'", or with the first output where the node has no name.
std::string describe_node(const onnx::NodeProto& node);

}  // namespace fastort
