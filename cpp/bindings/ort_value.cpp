#include "bindings/ort_value.h"

#include <pybind11/stl.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bindings/construction.h"
#include "bindings/convert.h"
#include "bindings/dlpack.h"
#include "bindings/dtypes.h"
#include "bindings/errors.h"
#include "runtime/devices.h"
#include "tensor/device_buffer.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

const Tensor& tensor_of(const OrtValue& self) {
  if (!self.value.is_tensor()) raise(PyExc_RuntimeError, "the OrtValue holds no tensor");
  return self.value.tensor();
}

PyArrayObject* array_of(const py::object& object) {
  if (!PyArray_Check(object.ptr()))
    raise(PyExc_RuntimeError, "Unable to create OrtValue from the given python object: a NumPy array is needed, not " +
                                  py::repr(py::type::of(object)).cast<std::string>());
  return reinterpret_cast<PyArrayObject*>(object.ptr());
}

// ONNX Runtime raises RuntimeError for a type that no tensor has.
DataType element_type_of(const py::object& dtype) {
  try {
    return data_type_from_python(dtype);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;
    const std::string reason = py::str(error.value()).cast<std::string>();
    raise(PyExc_RuntimeError,
          (PyLong_Check(dtype.ptr()) ? "Not a valid ONNX Tensor data type: " : "Not a valid numpy type: ") +
              py::repr(dtype).cast<std::string>() + " (" + reason + ")");
  }
}

Shape checked_shape(const std::vector<int64_t>& sizes, DataType type) {
  Shape shape;
  for (const int64_t size : sizes) {
    if (size < 0) raise(PyExc_RuntimeError, "a dimension is negative: " + std::to_string(size));
    shape.push_back(size);
  }
  const auto count = checked_count(shape);
  if (!count || *count > static_cast<int64_t>(PY_SSIZE_T_MAX / element_size(type)))
    raise(PyExc_RuntimeError, "the shape " + to_string(shape) + " is too large");
  return shape;
}

OrtValue from_numpy(const py::object& array, std::optional<int> onnx_type) {
  Tensor tensor = tensor_from_array(array_of(array), "The array");
  if (!onnx_type) return {tensor};
  const DataType type = element_type_of(py::int_(*onnx_type));
  if (element_size(type) != element_size(tensor.type()) || type == DataType::String)
    raise(PyExc_RuntimeError,
          "items of " + describe(tensor) + " cannot be read as " + std::string(name(type)) + ": their sizes differ");
  const Shape shape = tensor.shape();
  return {Tensor(type, shape, tensor.buffer())};
}

OrtValue from_shape(const std::vector<int64_t>& sizes, const py::object& dtype) {
  const DataType type = element_type_of(dtype);
  Tensor tensor(type, checked_shape(sizes, type));
  if (type != DataType::String && tensor.bytes() != 0) std::memset(tensor.raw(), 0, tensor.bytes());
  return {std::move(tensor)};
}

OrtValue from_pointer(uintptr_t address, const std::vector<int64_t>& sizes, const py::object& dtype) {
  const DataType type = element_type_of(dtype);
  if (type == DataType::String) raise(PyExc_ValueError, "strings have no address to bind");
  Shape shape = checked_shape(sizes, type);
  const size_t bytes = static_cast<size_t>(shape.count()) * element_size(type);
  if (address == 0 && bytes != 0) raise(PyExc_ValueError, "the address of the buffer is null");
  return {Tensor(type, std::move(shape), Buffer::wrap(reinterpret_cast<void*>(address), bytes))};
}

// A tensor on the device of that number, with the contents of an array.
OrtValue from_numpy_on_device(const py::object& array, int id) {
  const Tensor tensor = tensor_from_array(array_of(array), "The array");
  if (tensor.type() == DataType::String)
    raise(PyExc_RuntimeError, "strings cannot lie on a device: keep them on the CPU");
  const py::gil_scoped_release released;
  auto buffer = allocate_on_device(id, tensor.bytes());
  if (tensor.bytes()) buffer->write(tensor.raw());
  return {Tensor(tensor.type(), tensor.shape(), std::move(buffer))};
}

OrtValue from_shape_on_device(const std::vector<int64_t>& sizes, const py::object& dtype, int id) {
  const DataType type = element_type_of(dtype);
  if (type == DataType::String) raise(PyExc_RuntimeError, "strings cannot lie on a device: keep them on the CPU");
  Shape shape = checked_shape(sizes, type);
  const size_t bytes = static_cast<size_t>(shape.count()) * element_size(type);
  const py::gil_scoped_release released;
  auto buffer = allocate_on_device(id, bytes);
  const std::vector<std::byte> zeros(bytes);
  if (bytes) buffer->write(zeros.data());
  return {Tensor(type, std::move(shape), std::move(buffer))};
}

OrtValue shared_on_device(const std::vector<int64_t>& sizes, const py::object& dtype, int id, int fd) {
  const DataType type = element_type_of(dtype);
  if (type == DataType::String) raise(PyExc_RuntimeError, "strings cannot lie on a device: keep them on the CPU");
  Shape shape = checked_shape(sizes, type);
  const size_t bytes = static_cast<size_t>(shape.count()) * element_size(type);
  return {Tensor(type, std::move(shape), share_on_device(id, bytes, fd))};
}

OrtValue from_device_pointer(uintptr_t address, const std::vector<int64_t>& sizes, const py::object& dtype, int id) {
  const DataType type = element_type_of(dtype);
  if (type == DataType::String) raise(PyExc_ValueError, "strings have no address to bind");
  Shape shape = checked_shape(sizes, type);
  const size_t bytes = static_cast<size_t>(shape.count()) * element_size(type);
  return {Tensor(type, std::move(shape), find_on_device(id, address, bytes))};
}

// Values and their places, as linear indices or as one row of indices for each.
OrtValue from_sparse(const std::vector<int64_t>& sizes, const py::object& values, const py::object& indices) {
  auto sparse = std::make_shared<SparseTensor>();
  sparse->values = tensor_from_array(array_of(values), "The array of values");
  sparse->indices = tensor_from_array(array_of(indices), "The array of indices");
  sparse->shape = checked_shape(sizes, DataType::Bool);
  const Shape &shape = sparse->shape, &places = sparse->indices.shape();
  const int64_t count = sparse->values.count();
  const bool linear = places.rank() == 1;
  if (sparse->values.shape().rank() != 1)
    raise(PyExc_RuntimeError, "the values of a sparse tensor are a 1-D array, not " + describe(sparse->values));
  if (sparse->indices.type() != DataType::Int64 || places != (linear ? Shape{count} : Shape{count, shape.rank()}))
    raise(PyExc_RuntimeError, "the indices of a sparse tensor of shape " + to_string(shape) + " with " +
                                  std::to_string(count) + " values are int64 [" + std::to_string(count) + "] or [" +
                                  std::to_string(count) + "," + std::to_string(shape.rank()) + "], not " +
                                  describe(sparse->indices));
  const auto items = sparse->indices.span<int64_t>();
  for (size_t i = 0; i < items.size(); ++i) {
    const int64_t size = linear ? shape.count() : shape[i % shape.size()];
    if (items[i] < 0 || items[i] >= size)
      raise(PyExc_RuntimeError,
            "the index " + std::to_string(items[i]) + " of a sparse tensor is outside its shape " + to_string(shape));
  }
  return {std::shared_ptr<const SparseTensor>(std::move(sparse))};
}

const SparseTensor& sparse_of(const OrtValue& self) {
  if (!self.value.is_sparse()) raise(PyExc_RuntimeError, "This OrtValue does not contain a sparse tensor");
  return self.value.sparse();
}

py::object array_from(const Tensor& tensor) { return py::reinterpret_steal<py::object>(tensor_to_array(tensor)); }

// `from`: an array, or a value, which is read where it lies.
void update(const OrtValue& self, const py::object& from) {
  const Tensor& target = tensor_of(self);
  const bool is_value = py::isinstance<OrtValue>(from);
  const Tensor source =
      is_value ? tensor_of(from.cast<const OrtValue&>()) : tensor_from_array(array_of(from), "The array");
  if (source.type() != target.type())
    raise(PyExc_RuntimeError, "The type of the numpy array does not match the type of the OrtValue. The array is " +
                                  describe(source) + ", the OrtValue " + describe(target) +
                                  "; convert it with .astype");
  if (source.count() != target.count())
    raise(PyExc_RuntimeError, "The input size of numpy array does not match the size of the OrtValue. The array is " +
                                  describe(source) + ", the OrtValue " + describe(target) +
                                  "; ortvalue_from_numpy makes a value of another shape");
  DeviceBuffer *to_device = device_buffer(target), *from_device = device_buffer(source);
  if (source.bytes() == 0) return;
  if (to_device || from_device) {
    const py::gil_scoped_release released;
    if (to_device && from_device)
      to_device->copy_from(*from_device);
    else if (to_device)
      to_device->write(source.raw());
    else
      from_device->copy_to(target.raw());
    return;
  }
  if (source.type() == DataType::String)
    std::copy_n(source.data<std::string>(), source.count(), target.data<std::string>());
  else
    std::memmove(target.raw(), source.raw(), source.bytes());
}

std::vector<int64_t> shape_of(const OrtValue& self) {
  const Shape& shape = self.value.is_sparse() ? self.value.sparse().shape : tensor_of(self).shape();
  return {shape.begin(), shape.end()};
}

std::string data_type_text(const OrtValue& self) {
  if (self.value.is_tensor()) return "tensor(" + std::string(name(self.value.tensor().type())) + ")";
  if (self.value.is_sequence()) return "seq(tensor(" + std::string(name(self.value.sequence().element)) + "))";
  if (self.value.is_sparse()) return "sparse_tensor(" + std::string(name(self.value.sparse().values.type())) + ")";
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
  py::class_<OrtValue> type(module, "OrtValue", "The engine's value behind `fastort.OrtValue`.");
  forbid_construction(type, "use OrtValue.from_numpy or fastort.OrtValue.ortvalue_from_numpy");
  type.def_static("from_numpy", &from_numpy, py::arg("array"), py::arg("onnx_type") = py::none())
      .def_static("from_shape", &from_shape, py::arg("shape"), py::arg("dtype"))
      .def_static("from_pointer", &from_pointer, py::arg("address"), py::arg("shape"), py::arg("dtype"))
      .def_static("from_sparse", &from_sparse, py::arg("shape"), py::arg("values"), py::arg("indices"))
      .def_static("from_numpy_on_device", &from_numpy_on_device, py::arg("array"), py::arg("device_id"))
      .def_static("from_shape_on_device", &from_shape_on_device, py::arg("shape"), py::arg("dtype"),
                  py::arg("device_id"))
      .def_static("shared_on_device", &shared_on_device, py::arg("shape"), py::arg("dtype"), py::arg("device_id"),
                  py::arg("fd"))
      .def("share_fd",
           [](const OrtValue& self) {
             const DeviceBuffer* buffer = device_buffer(tensor_of(self));
             if (!buffer) raise(PyExc_RuntimeError, "the OrtValue lies on the CPU; only memory of a device is shared");
             return buffer->share();
           })
      .def_static("from_device_pointer", &from_device_pointer, py::arg("address"), py::arg("shape"), py::arg("dtype"),
                  py::arg("device_id"))
      .def_static(
          "request_on_device", [](int id) { return OrtValue{request_for(request_on_device(id))}; },
          py::arg("device_id"))
      .def("device",
           [](const OrtValue& self) {
             const DeviceBuffer* buffer = self.value.is_tensor() ? device_buffer(self.value.tensor()) : nullptr;
             if (!buffer) return std::make_pair(std::string("cpu"), 0);
             return std::make_pair(std::string(buffer->device_name()), buffer->device_id());
           })
      .def("on_host",
           [](const OrtValue& self) {
             const py::gil_scoped_release released;
             return OrtValue{on_host(tensor_of(self))};
           })
      .def("sparse_values", [](const OrtValue& self) { return array_from(sparse_of(self).values); })
      .def("sparse_indices", [](const OrtValue& self) { return array_from(sparse_of(self).indices); })
      .def("to_python",
           [](const OrtValue& self) {
             Value value = self.value;
             if (value.is_tensor() && device_buffer(value.tensor())) {
               const py::gil_scoped_release released;
               value = on_host(value.tensor());
             }
             return py::reinterpret_steal<py::object>(value_to_python(value));
           })
      .def_static(
          "from_dlpack",
          [](const py::object& capsule, bool is_bool) { return OrtValue{tensor_from_dlpack(capsule, is_bool)}; },
          py::arg("capsule"), py::arg("is_bool"))
      .def(
          "to_dlpack",
          [](const OrtValue& self, bool versioned) { return tensor_to_dlpack(on_host(tensor_of(self)), versioned); },
          py::arg("versioned"))
      .def("update", &update, py::arg("array"))
      .def("shape", &shape_of)
      .def("data_type", &data_type_text)
      .def("element_type",
           [](const OrtValue& self) {
             return static_cast<int>(self.value.is_sparse() ? self.value.sparse().values.type()
                                                            : tensor_of(self).type());
           })
      .def("data_ptr",
           [](const OrtValue& self) {
             const Tensor& tensor = tensor_of(self);
             const DeviceBuffer* buffer = device_buffer(tensor);
             return buffer ? static_cast<uintptr_t>(buffer->address()) : reinterpret_cast<uintptr_t>(tensor.raw());
           })
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
