#include <memory>

#include "bindings/convert.h"
#include "bindings/dtypes.h"
#include "bindings/errors.h"
#include "bindings/ort_value.h"
#include "tensor/device_buffer.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

constexpr const char* kCapsuleName = "fastort.buffer";

void release_capsule(PyObject* capsule) {
  delete static_cast<std::shared_ptr<Buffer>*>(PyCapsule_GetPointer(capsule, kCapsuleName));
}

PyObject* checked(PyObject* object) {
  if (!object) throw py::error_already_set();
  return object;
}

InlineVector<npy_intp, 8> numpy_dims(const Tensor& tensor) {
  if (tensor.shape().rank() > NPY_MAXDIMS)
    raise(PyExc_ValueError,
          "NumPy has at most " + std::to_string(NPY_MAXDIMS) + " dimensions, the value is " + describe(tensor));
  InlineVector<npy_intp, 8> dims;
  for (const Dim dim : tensor.shape()) dims.push_back(dim);
  return dims;
}

PyObject* strings_to_array(const Tensor& tensor) {
  auto dims = numpy_dims(tensor);
  auto array = py::reinterpret_steal<py::object>(
      checked(PyArray_SimpleNew(static_cast<int>(dims.size()), dims.data(), NPY_OBJECT)));
  auto** items = static_cast<PyObject**>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(array.ptr())));
  for (const std::string& text : tensor.strings()) {
    PyObject* previous = std::exchange(*items++, checked(text_to_python(text)));
    Py_XDECREF(previous);
  }
  return array.release().ptr();
}

// An item of a container may share its memory with a weight, an input or another item: the user gets a copy.
PyObject* item_to_array(const Tensor& tensor) {
  return tensor_to_array(tensor.type() == DataType::String ? tensor : tensor.clone());
}

PyObject* map_value(const Tensor& tensor) {
  if (tensor.shape().rank() == 0) {
    switch (tensor.type()) {
      case DataType::Float:
        return PyFloat_FromDouble(static_cast<double>(*tensor.data<float>()));
      case DataType::Double:
        return PyFloat_FromDouble(*tensor.data<double>());
      case DataType::Int64:
        return PyLong_FromLongLong(*tensor.data<int64_t>());
      default:
        break;
    }
  }
  auto array = py::reinterpret_steal<py::object>(item_to_array(tensor));
  if (tensor.shape().rank() != 0) return array.release().ptr();
  return checked(PyObject_CallMethod(array.ptr(), "item", nullptr));
}

template <class Items, class KeyFn>
PyObject* map_to_dict(const Items& items, KeyFn new_key) {
  auto dict = py::reinterpret_steal<py::object>(checked(PyDict_New()));
  for (const auto& [key, tensor] : items) {
    const auto name = py::reinterpret_steal<py::object>(checked(new_key(key)));
    const auto value = py::reinterpret_steal<py::object>(checked(map_value(tensor)));
    if (PyDict_SetItem(dict.ptr(), name.ptr(), value.ptr()) != 0) throw py::error_already_set();
  }
  return dict.release().ptr();
}

PyObject* sequence_to_list(const Sequence& sequence) {
  auto list = py::reinterpret_steal<py::object>(checked(PyList_New(static_cast<Py_ssize_t>(sequence.items.size()))));
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    const Value& item = sequence.items[i];
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i),
                    item.is_tensor() ? item_to_array(item.tensor()) : value_to_python(item));
  }
  return list.release().ptr();
}

}  // namespace

PyObject* tensor_to_array(const Tensor& tensor) {
  if (tensor.type() == DataType::String) return strings_to_array(tensor);
  if (device_buffer(tensor)) return tensor_to_array(on_host(tensor));
  auto dims = numpy_dims(tensor);
  const int type = numpy_type(tensor.type());
  const auto rank = static_cast<int>(dims.size());
  if (!tensor.raw() || !tensor.buffer()) return checked(PyArray_ZEROS(rank, dims.data(), type, 0));
  auto array = py::reinterpret_steal<py::object>(checked(
      PyArray_New(&PyArray_Type, rank, dims.data(), type, nullptr, tensor.raw(), 0, NPY_ARRAY_CARRAY, nullptr)));
  auto owner = std::make_unique<std::shared_ptr<Buffer>>(tensor.buffer());
  PyObject* capsule = checked(PyCapsule_New(owner.get(), kCapsuleName, release_capsule));
  owner.release();
  // Takes over the reference to the capsule, also where it fails.
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array.ptr()), capsule) != 0) throw py::error_already_set();
  return array.release().ptr();
}

PyObject* value_to_python(const Value& value) {
  if (value.is_tensor()) return tensor_to_array(value.tensor());
  if (value.is_sequence()) return sequence_to_list(value.sequence());
  if (value.is_map()) {
    if (value.map().key == DataType::String) return map_to_dict(value.map().by_string, text_to_python);
    return map_to_dict(value.map().by_int, [](int64_t key) { return PyLong_FromLongLong(key); });
  }
  if (value.is_sparse()) return py::module_::import("fastort").attr("SparseTensor")(OrtValue{value}).release().ptr();
  Py_RETURN_NONE;
}

PyObject* text_to_python(const std::string& text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape");
}

py::tuple buffer_of_capsule(const py::object& capsule) {
  auto* buffer = static_cast<std::shared_ptr<Buffer>*>(PyCapsule_GetPointer(capsule.ptr(), kCapsuleName));
  if (!buffer) throw py::error_already_set();
  return py::make_tuple(reinterpret_cast<uintptr_t>((*buffer)->data()), (*buffer)->bytes());
}

}  // namespace fastort::bindings
