#pragma once

#include <pybind11/pybind11.h>

#include "tensor/tensor.h"

namespace fastort::bindings {

// A DLPack capsule that shares the tensor's memory and keeps it alive: "dltensor_versioned", or "dltensor" for readers
// of the protocol's first version.
pybind11::object tensor_to_dlpack(const Tensor& tensor, bool versioned);

// The tensor in a capsule of memory of the CPU, which the tensor keeps alive; the capsule is used up. `is_bool`: bytes
// are truth values, for libraries that cannot say so.
Tensor tensor_from_dlpack(const pybind11::object& capsule, bool is_bool);

}  // namespace fastort::bindings
