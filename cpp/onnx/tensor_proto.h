#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "tensor/tensor.h"

namespace fastort {

// The bytes of an onnx TensorProto (a `.pb` test file) as a tensor; `name`, where given, receives the proto's name.
// Throws InvalidProtobuf for bytes that are none, Fail where the data does not fit the shape.
Tensor parse_tensor_proto(std::span<const std::byte> bytes, std::string* name = nullptr);

// The tensor as the bytes of an onnx TensorProto. Types narrower than a byte are packed.
std::string serialize_tensor_proto(const Tensor& tensor, const std::string& name = {});

}  // namespace fastort
