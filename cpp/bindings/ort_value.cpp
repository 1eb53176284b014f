#include "bindings/ort_value.h"

#include <pybind11/stl.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bindings/convert.h"
#include "bindings/dtypes.h"
#include "bindings/errors.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

const Tensor& tensor_of(const OrtValue& self) {
  if (!self.value.is_tensor()) raise(PyExc_RuntimeError, "the OrtValue holds no tensor");
  return self.value.tensor();
}

PyArrayObject* array_of(const py::object& object) {
  if (!PyArray_Check(object.ptr()))
    raise(PyExc_TypeError, "a NumPy array is needed, not " + py::repr(py::type::of(object)).cast<std::string>());
  return reinterpret_cast<PyArrayObject*>(object.ptr());
}

Shape checked_shape(const std::vector<int64_t>& sizes, DataType type) {
  Shape shape;
  for (const int64_t size : sizes) {
    if (size < 0) raise(PyExc_ValueError, "a dimension is negative: " + std::to_string(size));
    shape.push_back(size);
  }
  const auto count = checked_count(shape);
  if (!count || *count > static_cast<int64_t>(PY_SSIZE_T_MAX / element_size(type)))
    raise(PyExc_ValueError, "the shape " + to_string(shape) + " is too large");
  return shape;
}

OrtValue from_numpy(const py::object& array, std::optional<int> onnx_type) {
  Tensor tensor = tensor_from_array(array_of(array), "The array");
  if (!onnx_type) return {tensor};
  const DataType type = data_type_from_python(py::int_(*onnx_type));
  if (element_size(type) != element_size(tensor.type()) || type == DataType::String)
    raise(PyExc_ValueError,
          "items of " + describe(tensor) + " cannot be read as " + std::string(name(type)) + ": their sizes differ");
  const Shape shape = tensor.shape();
  return {Tensor(type, shape, tensor.buffer())};
}

OrtValue from_shape(const std::vector<int64_t>& sizes, const py::object& dtype) {
  const DataType type = data_type_from_python(dtype);
  Tensor tensor(type, checked_shape(sizes, type));
  if (type != DataType::String && tensor.bytes() != 0) std::memset(tensor.raw(), 0, tensor.bytes());
  return {std::move(tensor)};
}

OrtValue from_pointer(uintptr_t address, const std::vector<int64_t>& sizes, const py::object& dtype) {
  const DataType type = data_type_from_python(dtype);
  if (type == DataType::String) raise(PyExc_ValueError, "strings have no address to bind");
  Shape shape = checked_shape(sizes, type);
  const size_t bytes = static_cast<size_t>(shape.count()) * element_size(type);
  if (address == 0 && bytes != 0) raise(PyExc_ValueError, "the address of the buffer is null");
  return {Tensor(type, std::move(shape), Buffer::wrap(reinterpret_cast<void*>(address), bytes))};
}

void update(const OrtValue& self, const py::object& array) {
  const Tensor& target = tensor_of(self);
  const Tensor source = tensor_from_array(array_of(array), "The array");
  if (source.type() != target.type() || source.count() != target.count())
    raise(PyExc_RuntimeError, "The input size of numpy array does not match the size of the OrtValue. The array is " +
                                  describe(source) + ", the OrtValue " + describe(target));
  if (source.type() == DataType::String)
    std::copy_n(source.data<std::string>(), source.count(), target.data<std::string>());
  else if (source.bytes() != 0)
    std::memmove(target.raw(), source.raw(), source.bytes());
}

std::vector<int64_t> shape_of(const OrtValue& self) {
  const Shape& shape = tensor_of(self).shape();
  return {shape.begin(), shape.end()};
}

std::string data_type_text(const OrtValue& self) {
  if (self.value.is_tensor()) return "tensor(" + std::string(name(self.value.tensor().type())) + ")";
  if (self.value.is_sequence()) return "seq(tensor(" + std::string(name(self.value.sequence().element)) + "))";
  if (self.value.is_map())
    return "map(" + std::string(name(self.value.map().key)) + ",tensor(" + std::string(name(self.value.map().value)) +
           "))";
  return "";
}

}  // namespace

const Value* held_value(PyObject* object) {
  if (py::isinstance<OrtValue>(object)) return &py::handle(object).cast<const OrtValue&>().value;
  PyObject* inner = PyObject_GetAttrString(object, "_ortvalue");
  if (!inner) {
    PyErr_Clear();
    return nullptr;
  }
  // The outer object keeps the inner one alive.
  const Value* value = py::isinstance<OrtValue>(inner) ? &py::handle(inner).cast<const OrtValue&>().value : nullptr;
  Py_DECREF(inner);
  return value;
}

void bind_ort_value(py::module_& module) {
  py::class_<OrtValue>(module, "OrtValue", "The engine's value behind `fastort.OrtValue`.")
      .def_static("from_numpy", &from_numpy, py::arg("array"), py::arg("onnx_type") = py::none())
      .def_static("from_shape", &from_shape, py::arg("shape"), py::arg("dtype"))
      .def_static("from_pointer", &from_pointer, py::arg("address"), py::arg("shape"), py::arg("dtype"))
      .def("to_python",
           [](const OrtValue& self) { return py::reinterpret_steal<py::object>(value_to_python(self.value)); })
      .def("update", &update, py::arg("array"))
      .def("shape", &shape_of)
      .def("data_type", &data_type_text)
      .def("element_type", [](const OrtValue& self) { return static_cast<int>(tensor_of(self).type()); })
      .def("data_ptr", [](const OrtValue& self) { return reinterpret_cast<uintptr_t>(tensor_of(self).raw()); })
      .def("byte_size", [](const OrtValue& self) { return tensor_of(self).bytes(); })
      .def("kind", [](const OrtValue& self) {
        const Value& value = self.value;
        return value.is_tensor()     ? "tensor"
               : value.is_sequence() ? "sequence"
               : value.is_map()      ? "map"
               : value.is_sparse()   ? "sparse"
                                     : "none";
      });
}

}  // namespace fastort::bindings
