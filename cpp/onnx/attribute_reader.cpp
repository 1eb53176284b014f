#include "onnx/attribute_reader.h"

#include <vector>

#include "base/error.h"
#include "onnx/schemas.h"

namespace fastort {
namespace {

Tensor string_tensor(Shape shape, const google::protobuf::RepeatedPtrField<std::string>& items) {
  Tensor tensor(DataType::String, std::move(shape));
  std::copy(items.begin(), items.end(), tensor.data<std::string>());
  return tensor;
}

}  // namespace

Attribute read_attribute(const onnx::AttributeProto& proto, ExternalFiles& files, TypeReader& types,
                         const std::string& owner) {
  switch (attribute_type(proto)) {
    case onnx::AttributeProto::FLOAT:
      return proto.f();
    case onnx::AttributeProto::INT:
      return int64_t{proto.i()};
    case onnx::AttributeProto::STRING:
      return proto.s();
    case onnx::AttributeProto::TENSOR:
      return read_tensor(proto.t(), nullptr, &files);
    case onnx::AttributeProto::SPARSE_TENSOR:
      return read_sparse(proto.sparse_tensor(), &files);
    case onnx::AttributeProto::TYPE_PROTO:
      return types.read(proto.tp(), owner);
    case onnx::AttributeProto::FLOATS:
      return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case onnx::AttributeProto::INTS:
      return std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
    case onnx::AttributeProto::STRINGS:
      return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case onnx::AttributeProto::TENSORS: {
      std::vector<Tensor> tensors;
      for (const auto& tensor : proto.tensors()) tensors.push_back(read_tensor(tensor, nullptr, &files));
      return tensors;
    }
    case onnx::AttributeProto::UNDEFINED:
      invalid_graph("This is an invalid model. In " + owner + ": attribute '" + proto.name() + "' has no value");
    default:
      not_implemented("In " + owner + ": attribute '" + proto.name() +
                      "' is a list of graphs, types or sparse tensors");
  }
}

Tensor read_constant(const onnx::AttributeProto& proto, ExternalFiles& files, const std::string& owner) {
  const std::string& name = proto.name();
  if (name == "value") return read_tensor(proto.t(), nullptr, &files);
  if (name == "sparse_value") return read_dense(proto.sparse_tensor(), &files);
  if (name == "value_float") return Tensor::scalar<float>(proto.f());
  if (name == "value_int") return Tensor::scalar<int64_t>(proto.i());
  if (name == "value_floats")
    return Tensor::vector<float>({proto.floats().data(), static_cast<size_t>(proto.floats_size())});
  if (name == "value_ints")
    return Tensor::vector<int64_t>(std::vector<int64_t>(proto.ints().begin(), proto.ints().end()));
  if (name == "value_strings") return string_tensor({proto.strings_size()}, proto.strings());
  if (name == "value_string") {
    Tensor tensor(DataType::String, Shape{});
    *tensor.data<std::string>() = proto.s();
    return tensor;
  }
  invalid_graph("This is an invalid model. In " + owner + ": attribute '" + name + "' is no value");
}

}  // namespace fastort
