#include "onnx/types.h"

#include <memory>
#include <optional>

#include "base/error.h"
#include "onnx/tensor_reader.h"

namespace fastort {
namespace {

void write_shape(const Shape& shape, const SymbolTable* symbols, onnx::TensorShapeProto& proto) {
  for (const Dim dim : shape) {
    auto* out = proto.add_dim();
    if (is_known(dim))
      out->set_dim_value(dim);
    else if (symbols != nullptr && !symbols->is_unknown(dim))
      out->set_dim_param(symbols->name(dim));
  }
}

}  // namespace

void TypeReader::override_dimensions(const std::map<std::string, int64_t>& by_name,
                                     const std::map<std::string, int64_t>& by_denotation,
                                     const onnx::GraphProto& graph) {
  by_name_ = by_name;
  by_denotation_ = by_denotation;
  // A denotation stands at the inputs alone, but its dimension's name may stand elsewhere too.
  for (const auto& input : graph.input()) {
    for (const auto& dim : input.type().tensor_type().shape().dim()) {
      const auto found = by_denotation.find(dim.denotation());
      if (found != by_denotation.end() && !dim.dim_param().empty()) by_name_.emplace(dim.dim_param(), found->second);
    }
  }
}

Dim TypeReader::read_dim(const onnx::TensorShapeProto_Dimension& proto) {
  // Some exporters write -1 where a size is not known; ONNX Runtime takes any negative number for that.
  if (proto.has_dim_value() && proto.dim_value() >= 0) return proto.dim_value();
  if (const auto found = by_denotation_.find(proto.denotation());
      found != by_denotation_.end() && !proto.denotation().empty())
    return found->second;
  if (proto.dim_param().empty()) return symbols_.fresh();
  if (const auto found = by_name_.find(proto.dim_param()); found != by_name_.end()) return found->second;
  return symbols_.named(proto.dim_param());
}

Shape TypeReader::read_shape(const onnx::TensorShapeProto& proto, const std::string& owner) {
  Shape shape;
  Shape known;
  for (const auto& dim : proto.dim()) {
    shape.push_back(read_dim(dim));
    if (is_known(shape.back())) known.push_back(shape.back());
  }
  if (!checked_count(known)) invalid_graph("'" + owner + "' has too many elements: " + to_string(shape));
  return shape;
}

ValueType TypeReader::read(const onnx::TypeProto& proto, const std::string& owner) {
  ValueType type;
  switch (proto.value_case()) {
    case onnx::TypeProto::kTensorType:
      if (proto.tensor_type().elem_type() == 0) return type;
      type.kind = ValueKind::Tensor;
      type.element = read_data_type(proto.tensor_type().elem_type(), owner);
      type.has_shape = proto.tensor_type().has_shape();
      if (type.has_shape) type.shape = read_shape(proto.tensor_type().shape(), owner);
      break;
    case onnx::TypeProto::kSparseTensorType:
      type.kind = ValueKind::SparseTensor;
      type.element = read_data_type(proto.sparse_tensor_type().elem_type(), owner);
      type.has_shape = proto.sparse_tensor_type().has_shape();
      if (type.has_shape) type.shape = read_shape(proto.sparse_tensor_type().shape(), owner);
      break;
    case onnx::TypeProto::kSequenceType:
      type.kind = ValueKind::Sequence;
      type.inner = std::make_shared<const ValueType>(read(proto.sequence_type().elem_type(), owner));
      break;
    case onnx::TypeProto::kOptionalType:
      type.kind = ValueKind::Optional;
      type.inner = std::make_shared<const ValueType>(read(proto.optional_type().elem_type(), owner));
      break;
    case onnx::TypeProto::kMapType:
      type.kind = ValueKind::Map;
      type.element = read_data_type(proto.map_type().key_type(), owner);
      type.inner = std::make_shared<const ValueType>(read(proto.map_type().value_type(), owner));
      break;
    case onnx::TypeProto::kOpaqueType:
      not_implemented("'" + owner + "' has the opaque type '" + proto.opaque_type().name() + "'");
    case onnx::TypeProto::VALUE_NOT_SET:
      break;
  }
  return type;
}

onnx::TypeProto write_type(const ValueType& type, const SymbolTable* symbols) {
  onnx::TypeProto proto;
  switch (type.kind) {
    case ValueKind::Tensor:
      proto.mutable_tensor_type()->set_elem_type(static_cast<int>(type.element));
      if (type.has_shape) write_shape(type.shape, symbols, *proto.mutable_tensor_type()->mutable_shape());
      break;
    case ValueKind::SparseTensor:
      proto.mutable_sparse_tensor_type()->set_elem_type(static_cast<int>(type.element));
      if (type.has_shape) write_shape(type.shape, symbols, *proto.mutable_sparse_tensor_type()->mutable_shape());
      break;
    case ValueKind::Sequence:
      *proto.mutable_sequence_type()->mutable_elem_type() = write_type(*type.inner, symbols);
      break;
    case ValueKind::Optional:
      *proto.mutable_optional_type()->mutable_elem_type() = write_type(*type.inner, symbols);
      break;
    case ValueKind::Map:
      proto.mutable_map_type()->set_key_type(static_cast<int>(type.element));
      *proto.mutable_map_type()->mutable_value_type() = write_type(*type.inner, symbols);
      break;
    case ValueKind::Unknown:
      break;
  }
  return proto;
}

}  // namespace fastort
