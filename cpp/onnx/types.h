#pragma once

#include <map>
#include <string>

#include <onnx/onnx_pb.h>

#include "graph/symbols.h"
#include "tensor/value.h"

namespace fastort {

// Reads and writes the types of one model's values; equal names of dimensions become equal symbols.
class TypeReader {
 public:
  explicit TypeReader(SymbolTable& symbols) : symbols_(symbols) {}

  // Sizes that take the place of symbolic dimensions, see LoadOptions.
  void override_dimensions(const std::map<std::string, int64_t>& by_name,
                           const std::map<std::string, int64_t>& by_denotation, const onnx::GraphProto& graph);

  // Kind Unknown for a type that is not set. Throws InvalidGraph naming `owner` for sizes that no memory holds.
  ValueType read(const onnx::TypeProto& proto, const std::string& owner);

 private:
  Shape read_shape(const onnx::TensorShapeProto& proto, const std::string& owner);
  Dim read_dim(const onnx::TensorShapeProto_Dimension& proto);

  SymbolTable& symbols_;
  std::map<std::string, int64_t> by_name_, by_denotation_;
};

// `symbols` names the symbolic dimensions; without it they are left open.
onnx::TypeProto write_type(const ValueType& type, const SymbolTable* symbols);

}  // namespace fastort
