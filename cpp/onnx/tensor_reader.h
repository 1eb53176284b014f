#pragma once

#include <memory>
#include <span>
#include <string>

#include <onnx/onnx_pb.h>

#include "onnx/external_files.h"
#include "tensor/value.h"

namespace fastort {

// Bytes of a tensor as ONNX stores them.
struct RawData {
  std::span<const std::byte> bytes;
  std::shared_ptr<Buffer> keep_alive;  // holds the bytes; without it they are copied
};

// The tensor of a proto, in whichever of ONNX's forms it is stored. `payload` is raw data that lies outside the proto;
// `files` may be null where external data is not allowed. Throws Error(Fail) naming the tensor where its data does not
// fit its shape, NotImplemented for a type that fastort lacks.
Tensor read_tensor(const onnx::TensorProto& proto, const RawData* payload, ExternalFiles* files);

// A sparse tensor whose indices are checked.
std::shared_ptr<const SparseTensor> read_sparse(const onnx::SparseTensorProto& proto, ExternalFiles* files);

// A sparse tensor in full, zeros included.
Tensor read_dense(const onnx::SparseTensorProto& proto, ExternalFiles* files);

// The element type of a proto's `data_type`; `owner` is for the message.
DataType read_data_type(int data_type, const std::string& owner);

}  // namespace fastort
