#pragma once

#include <string>

#include "bindings/numpy_api.h"
#include "runtime/session.h"
#include "tensor/value.h"

namespace fastort::bindings {

// What a fed object is converted to, made once per session and input. Shapes are checked by the engine.
struct InputSlot {
  explicit InputSlot(const NodeArgInfo& info);

  std::string name;
  ValueType type;
  DataType element = DataType::Undefined;  // set where the input is a tensor or an optional tensor
  bool is_scalar = false;
  bool is_optional = false;
  std::string declared;  // "tensor(float)[n,3]", for messages
};

// The value of a Python object for an input: a C-contiguous array of the right type is read where it lies and kept
// alive by the value. Raises what ONNX Runtime raises for one that does not fit.
Value value_from_python(PyObject* object, const InputSlot& slot);

// An array of any type as a tensor, without a copy where it is C-contiguous; text is copied.
Tensor tensor_from_array(PyArrayObject* array, const std::string& owner);

// An array that is a view of the tensor's memory, kept alive by a capsule; an array of `str` for strings. New
// reference.
PyObject* tensor_to_array(const Tensor& tensor);

// Arrays for tensors, lists for sequences, dicts for maps, a `fastort.SparseTensor` for a sparse tensor, None for an
// optional without a value. New reference.
PyObject* value_to_python(const Value& value);

// Where a result's capsule points and how many bytes belong to it, for tests of zero-copy.
pybind11::tuple buffer_of_capsule(const pybind11::object& capsule);

// Drops a reference from any thread, with or without the GIL.
void release_object(PyObject* object) noexcept;

// A Python string as UTF-8; surrogates that stand for undecodable bytes become these bytes again.
std::string text_from_python(PyObject* text);

// The reverse: bytes that are not UTF-8 become surrogates. New reference.
PyObject* text_to_python(const std::string& text);

}  // namespace fastort::bindings
