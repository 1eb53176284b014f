#pragma once

#include <string>

#include <onnx/onnx_pb.h>

#include "graph/attributes.h"
#include "onnx/tensor_reader.h"
#include "onnx/types.h"

namespace fastort {

// The value of an attribute that is no graph; `owner` names its node for messages.
Attribute read_attribute(const onnx::AttributeProto& proto, ExternalFiles& files, TypeReader& types,
                         const std::string& owner);

// The tensor that a Constant node's attribute stands for.
Tensor read_constant(const onnx::AttributeProto& proto, ExternalFiles& files, const std::string& owner);

}  // namespace fastort
