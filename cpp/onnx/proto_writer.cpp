#include "onnx/proto_writer.h"

#include <type_traits>

#include "base/error.h"
#include "onnx/types.h"

namespace fastort {
namespace {

std::string packed(const Tensor& tensor) {
  const auto bits = static_cast<size_t>(packed_bits(tensor.type()));
  const unsigned mask = (1u << bits) - 1u;
  const size_t count = tensor.bytes();
  std::string bytes((count * bits + 7) / 8, '\0');
  const auto add = [&](size_t byte, unsigned item) {
    bytes[byte] = static_cast<char>(static_cast<uint8_t>(bytes[byte]) | (item & 0xffu));
  };
  for (size_t i = 0; i < count; ++i) {
    const unsigned item = (static_cast<unsigned>(tensor.raw()[i]) & mask) << (i * bits % 8);
    add(i * bits / 8, item);
    if (item > 0xffu) add(i * bits / 8 + 1, item >> 8);  // six bits may reach into the next byte
  }
  return bytes;
}

void write_sparse(const SparseTensor& sparse, onnx::SparseTensorProto& proto) {
  write_tensor(sparse.values, {}, *proto.mutable_values());
  write_tensor(sparse.indices, {}, *proto.mutable_indices());
  for (const Dim dim : sparse.shape) proto.add_dims(dim);
}

}  // namespace

void write_tensor(const Tensor& tensor, const std::string& name, onnx::TensorProto& proto) {
  proto.set_name(name);
  proto.set_data_type(static_cast<int>(tensor.type()));
  for (const Dim dim : tensor.shape()) proto.add_dims(dim);
  if (tensor.type() == DataType::String) {
    for (const std::string& item : tensor.strings()) proto.add_string_data(item);
  } else if (packed_bits(tensor.type()) < 8) {
    proto.set_raw_data(packed(tensor));
  } else {
    proto.set_raw_data(tensor.raw(), tensor.bytes());
  }
}

void write_attribute(const std::string& name, const Attribute& value, const SymbolTable* symbols,
                     const WriteBody& write_body, onnx::AttributeProto& proto) {
  proto.set_name(name);
  const auto write = [&](const auto& item) {
    using T = std::decay_t<decltype(item)>;
    if constexpr (std::is_same_v<T, int64_t>) {
      proto.set_type(onnx::AttributeProto::INT);
      proto.set_i(item);
    } else if constexpr (std::is_same_v<T, float>) {
      proto.set_type(onnx::AttributeProto::FLOAT);
      proto.set_f(item);
    } else if constexpr (std::is_same_v<T, std::string>) {
      proto.set_type(onnx::AttributeProto::STRING);
      proto.set_s(item);
    } else if constexpr (std::is_same_v<T, Tensor>) {
      proto.set_type(onnx::AttributeProto::TENSOR);
      write_tensor(item, name, *proto.mutable_t());
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      proto.set_type(onnx::AttributeProto::INTS);
      proto.mutable_ints()->Add(item.begin(), item.end());
    } else if constexpr (std::is_same_v<T, std::vector<float>>) {
      proto.set_type(onnx::AttributeProto::FLOATS);
      proto.mutable_floats()->Add(item.begin(), item.end());
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      proto.set_type(onnx::AttributeProto::STRINGS);
      for (const std::string& text : item) proto.add_strings(text);
    } else if constexpr (std::is_same_v<T, std::vector<Tensor>>) {
      proto.set_type(onnx::AttributeProto::TENSORS);
      for (const Tensor& tensor : item) write_tensor(tensor, {}, *proto.add_tensors());
    } else if constexpr (std::is_same_v<T, std::shared_ptr<Graph>>) {
      proto.set_type(onnx::AttributeProto::GRAPH);
      if (!write_body) fail(ErrorCode::Fail, "Attribute '" + name + "' is a graph, which cannot be written here");
      write_body(*item, *proto.mutable_g());
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const SparseTensor>>) {
      proto.set_type(onnx::AttributeProto::SPARSE_TENSOR);
      write_sparse(*item, *proto.mutable_sparse_tensor());
    } else {
      static_assert(std::is_same_v<T, ValueType>);
      proto.set_type(onnx::AttributeProto::TYPE_PROTO);
      *proto.mutable_tp() = write_type(item, symbols);
    }
  };
  std::visit(write, value);
}

}  // namespace fastort
