#pragma once

#include <string>

#include <onnx/defs/schema.h>

namespace fastort {

// The inputs, outputs and attributes of operators that onnx's library does not know: those of com.microsoft, and those
// of the first opsets that never had a schema. nullptr for any other.
const onnx::OpSchema* find_contrib_schema(const std::string& domain, const std::string& op);

}  // namespace fastort
