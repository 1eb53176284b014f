#pragma once

#include <functional>
#include <string>

#include <onnx/onnx_pb.h>

#include "graph/graph.h"

namespace fastort {

void write_tensor(const Tensor& tensor, const std::string& name, onnx::TensorProto& proto);

// Writes a body of a node; called for attributes that are graphs.
using WriteBody = std::function<void(const Graph&, onnx::GraphProto&)>;
void write_attribute(const std::string& name, const Attribute& value, const SymbolTable* symbols,
                     const WriteBody& write_body, onnx::AttributeProto& proto);

}  // namespace fastort
