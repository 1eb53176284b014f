#include "onnx/tensor_proto.h"

#include <limits>

#include "base/error.h"
#include "onnx/proto_writer.h"
#include "onnx/tensor_reader.h"

namespace fastort {

Tensor parse_tensor_proto(std::span<const std::byte> bytes, std::string* name) {
  onnx::TensorProto proto;
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    fail(ErrorCode::InvalidProtobuf, "Protobuf parsing failed: these bytes are no TensorProto.");
  if (name != nullptr) *name = proto.name();
  return read_tensor(proto, nullptr, nullptr);
}

std::string serialize_tensor_proto(const Tensor& tensor, const std::string& name) {
  onnx::TensorProto proto;
  write_tensor(tensor, name, proto);
  return proto.SerializeAsString();
}

}  // namespace fastort
