#include <functional>
#include <utility>

#include "base/error.h"
#include "bindings/convert.h"
#include "bindings/dtypes.h"
#include "bindings/errors.h"
#include "bindings/ort_value.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

std::string type_name_of(PyObject* object) { return py::repr(py::type::handle_of(object)).cast<std::string>(); }

[[noreturn]] void fail_type(const std::string& actual, const std::string& expected, const InputSlot& slot,
                            const std::string& remedy) {
  invalid_argument("Unexpected input data type. Actual: (" + actual + ") , expected: (" + expected + ") for input '" +
                   slot.name + "'" + remedy);
}

[[noreturn]] void fail_element_type(DataType actual, DataType expected, const InputSlot& slot) {
  fail_type("tensor(" + std::string(name(actual)) + ")", "tensor(" + std::string(name(expected)) + ")", slot,
            "; convert it with array.astype(" + numpy_name(expected) + ")");
}

DataType checked_type(PyArrayObject* array, const std::string& owner) {
  const DataType type = data_type(PyArray_TYPE(array));
  if (type == DataType::Undefined)
    raise(PyExc_RuntimeError,
          "Numpy_type " + std::to_string(PyArray_TYPE(array)) + " can't be converted to MLDataType. " + owner +
              " has the dtype " +
              py::str(py::handle(reinterpret_cast<PyObject*>(PyArray_DESCR(array)))).cast<std::string>() +
              ", for which ONNX has no type");
  return type;
}

Shape shape_of(PyArrayObject* array) {
  Shape shape;
  const npy_intp* dims = PyArray_DIMS(array);
  const int rank = PyArray_NDIM(array);
  shape.reserve(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) shape.push_back(dims[i]);
  return shape;
}

std::string text_of_item(PyObject* item) {
  if (PyUnicode_Check(item)) return text_from_python(item);
  if (PyBytes_Check(item)) return {PyBytes_AS_STRING(item), static_cast<size_t>(PyBytes_GET_SIZE(item))};
  const auto text = py::reinterpret_steal<py::object>(PyObject_Str(item));
  if (!text) throw py::error_already_set();
  return text_from_python(text.ptr());
}

Tensor strings_from_array(PyArrayObject* array) {
  // NumPy turns every kind of text into an array of Python objects.
  auto objects = py::reinterpret_steal<py::object>(
      PyArray_FromArray(array, PyArray_DescrFromType(NPY_OBJECT), NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST));
  if (!objects) throw py::error_already_set();
  auto* items = static_cast<PyObject**>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(objects.ptr())));
  Tensor tensor(DataType::String, shape_of(array));
  auto* texts = tensor.data<std::string>();
  for (int64_t i = 0, count = tensor.count(); i < count; ++i) texts[i] = items[i] ? text_of_item(items[i]) : "None";
  return tensor;
}

// A view of the array's memory; takes over one reference to the array.
Tensor borrow(PyArrayObject* array, DataType type, Shape shape) {
  auto* object = reinterpret_cast<PyObject*>(array);
  return Tensor(type, std::move(shape),
                Buffer::wrap(PyArray_DATA(array), static_cast<size_t>(PyArray_NBYTES(array)),
                             [object] { release_object(object); }));
}

Tensor convert_array(PyArrayObject* array, DataType type) {
  if (type == DataType::String) return strings_from_array(array);
  if (PyArray_IS_C_CONTIGUOUS(array) && PyArray_ISBEHAVED_RO(array)) [[likely]] {
    Py_INCREF(array);
    return borrow(array, type, shape_of(array));
  }
  // Strided, misaligned or of the other byte order.
  PyObject* copy = PyArray_FromArray(array, PyArray_DescrFromType(numpy_type(type)), NPY_ARRAY_CARRAY_RO);
  if (!copy) throw py::error_already_set();
  auto* contiguous = reinterpret_cast<PyArrayObject*>(copy);
  return borrow(contiguous, type, shape_of(contiguous));
}

Tensor convert_list(PyObject* list, DataType type, const InputSlot& slot) {
  PyArray_Descr* descr = PyArray_DescrFromType(numpy_type(type));
  auto array = py::reinterpret_steal<py::object>(
      PyArray_FromAny(list, descr, 0, 0, NPY_ARRAY_CARRAY | NPY_ARRAY_FORCECAST, nullptr));
  if (!array) {
    const py::error_already_set cause;
    raise(PyExc_RuntimeError, "Could not create tensor from given input list for input '" + slot.name + "' of " +
                                  slot.declared + ": " + cause.what());
  }
  return convert_array(reinterpret_cast<PyArrayObject*>(array.ptr()), type);
}

Value convert(PyObject* object, const ValueType& type, const InputSlot& slot);

[[noreturn]] void fail_object(PyObject* object, const InputSlot& slot) {
  raise(PyExc_RuntimeError, "Unable to handle object of type " + type_name_of(object) + " for input '" + slot.name +
                                "' of " + slot.declared + "; pass a NumPy array");
}

Tensor convert_tensor(PyObject* object, DataType expected, const InputSlot& slot) {
  if (PyArray_Check(object)) {
    auto* array = reinterpret_cast<PyArrayObject*>(object);
    const DataType actual = checked_type(array, "Input '" + slot.name + "'");
    if (actual != expected) fail_element_type(actual, expected, slot);
    return convert_array(array, actual);
  }
  if (PyList_Check(object)) return convert_list(object, expected, slot);
  if (PyDict_Check(object))
    fail_type("map", "tensor(" + std::string(name(expected)) + ")", slot, "; pass a NumPy array");
  if (PyUnicode_Check(object) || PyTuple_Check(object) || PyBytes_Check(object) || PyByteArray_Check(object))
    raise(PyExc_RuntimeError, "Input must be a list of dictionaries or a single numpy array for input '" + slot.name +
                                  "', not " + type_name_of(object));
  fail_object(object, slot);
}

// The items of a sequence are free in shape, so that they are checked against a slot without one.
Tensor convert_item(PyObject* item, DataType expected, const InputSlot& slot) {
  if (!PyArray_Check(item))
    raise(PyExc_RuntimeError, "CreateSequenceOfTensors: Input is not a tensor: an item of the sequence for input '" +
                                  slot.name + "' is " + type_name_of(item) + " where a NumPy array is needed");
  auto* array = reinterpret_cast<PyArrayObject*>(item);
  const DataType actual = checked_type(array, "An item of input '" + slot.name + "'");
  if (actual != expected) fail_element_type(actual, expected, slot);
  return convert_array(array, actual);
}

Value convert_sequence(PyObject* object, const ValueType& type, const InputSlot& slot) {
  if (PyArray_Check(object))
    invalid_argument("input with name: '" + slot.name + "' expected to be of type: 3 but received a tensor; it is a " +
                     slot.declared + ": pass a list of arrays");
  if (PyDict_Check(object)) fail_type("(map)", "(" + type_string(type) + ")", slot, "; pass a list");
  if (!PyList_Check(object) && !PyTuple_Check(object)) fail_object(object, slot);
  auto sequence = std::make_shared<Sequence>();
  const ValueType& item_type = *type.inner;
  sequence->element = item_type.is_tensor() ? item_type.element : DataType::Undefined;
  // The list may change while items are converted: converting can run Python code.
  const auto items = py::reinterpret_steal<py::object>(PySequence_Tuple(object));
  if (!items) throw py::error_already_set();
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.ptr()); ++i) {
    PyObject* item = PyTuple_GET_ITEM(items.ptr(), i);
    if (item_type.is_tensor())
      sequence->items.emplace_back(convert_item(item, item_type.element, slot));
    else
      sequence->items.push_back(convert(item, item_type, slot));
  }
  return Value(std::shared_ptr<const Sequence>(std::move(sequence)));
}

Tensor convert_map_value(PyObject* object, DataType type, const InputSlot& slot) {
  auto array = py::reinterpret_steal<py::object>(PyArray_FromAny(object, PyArray_DescrFromType(numpy_type(type)), 0, 0,
                                                                 NPY_ARRAY_CARRAY | NPY_ARRAY_FORCECAST, nullptr));
  if (!array) {
    PyErr_Clear();
    raise(PyExc_RuntimeError, "Unexpected value type  " + type_name_of(object) + ", it cannot be linked to C type " +
                                  std::string(name(type)) + " for input '" + slot.name + "'.");
  }
  return convert_array(reinterpret_cast<PyArrayObject*>(array.ptr()), type);
}

Value convert_map(PyObject* object, const ValueType& type, const InputSlot& slot) {
  if (PyArray_Check(object))
    invalid_argument("input with name: '" + slot.name + "' expected to be of type: 1 but received a tensor; it is a " +
                     slot.declared + ": pass a dict");
  if (!PyDict_Check(object)) fail_object(object, slot);
  if (!type.inner || !type.inner->is_tensor())
    not_implemented("input '" + slot.name + "' is a " + slot.declared + "; only maps to tensors can be fed");
  auto map = std::make_shared<Map>();
  map->key = type.element;
  map->value = type.inner->element;
  const auto items = py::reinterpret_steal<py::object>(PyDict_Items(object));
  if (!items) throw py::error_already_set();
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.ptr()); ++i) {
    PyObject* key = PyTuple_GET_ITEM(PyList_GET_ITEM(items.ptr(), i), 0);
    Tensor value = convert_map_value(PyTuple_GET_ITEM(PyList_GET_ITEM(items.ptr(), i), 1), map->value, slot);
    if (map->key == DataType::String && PyUnicode_Check(key)) {
      map->by_string.insert_or_assign(text_from_python(key), std::move(value));
      continue;
    }
    if (map->key == DataType::String || !PyIndex_Check(key))
      fail_type(
          "(map(" + std::string(PyUnicode_Check(key) ? "string" : "int64") + "," + type_string(*type.inner) + "))",
          "(" + type_string(type) + ")", slot, ": a key is " + type_name_of(key));
    const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(key));
    const int64_t number = index ? PyLong_AsLongLong(index.ptr()) : -1;
    if (PyErr_Occurred()) throw py::error_already_set();
    map->by_int.insert_or_assign(number, std::move(value));
  }
  return Value(std::shared_ptr<const Map>(std::move(map)));
}

Value convert(PyObject* object, const ValueType& type, const InputSlot& slot) {
  switch (type.kind) {
    case ValueKind::Tensor:
      return convert_tensor(object, type.element, slot);
    case ValueKind::Sequence:
      return convert_sequence(object, type, slot);
    case ValueKind::Map:
      return convert_map(object, type, slot);
    case ValueKind::Optional:
      return object == Py_None ? Value() : convert(object, *type.inner, slot);
    case ValueKind::SparseTensor:
      invalid_argument("input with name: '" + slot.name + "' expected to be of type: 4 but received " +
                       type_name_of(object) + "; it is a " + slot.declared + ": pass a fastort.SparseTensor");
    default:
      not_implemented("input '" + slot.name + "' is a " + slot.declared + ", which cannot be fed from Python");
  }
}

// The engine itself checks a tensor that is fed for a tensor.
bool holds(const Value& value, const ValueType& type) {
  switch (type.kind) {
    case ValueKind::Tensor:
      return value.is_tensor() && value.tensor().type() == type.element;
    case ValueKind::Sequence:
      return value.is_sequence() && (!type.inner->is_tensor() || value.sequence().element == type.inner->element);
    case ValueKind::Map:
      return value.is_map() && value.map().key == type.element;
    case ValueKind::Optional:
      return value.empty() || holds(value, *type.inner);
    case ValueKind::SparseTensor:
      return value.is_sparse();
    case ValueKind::Unknown:
      break;
  }
  return true;
}

void check_held(const Value& value, const InputSlot& slot) {
  if (slot.type.is_tensor() && value.is_tensor()) return;
  if (!holds(value, slot.type))
    invalid_argument("input with name: '" + slot.name + "' is a " + slot.declared +
                     ", but the OrtValue holds another kind of value");
}

}  // namespace

InputSlot::InputSlot(const NodeArgInfo& info) : name(info.name), type(info.type) {
  is_optional = type.kind == ValueKind::Optional;
  const ValueType& held = is_optional ? *type.inner : type;
  if (held.is_tensor()) element = held.element;
  declared = type_string(type);
  if (!info.has_shape) return;
  is_scalar = held.is_tensor() && info.dims.empty();
  std::string sizes;
  for (const auto& dim : info.dims) {
    if (!sizes.empty()) sizes += ",";
    const int64_t* size = std::get_if<int64_t>(&dim);
    const std::string* symbol = std::get_if<std::string>(&dim);
    sizes += size ? std::to_string(*size) : symbol ? *symbol : "?";
  }
  declared += "[" + sizes + "]";
}

namespace {

Value convert_object(PyObject* object, const InputSlot& slot) {
  if (PyArray_Check(object) && slot.element != DataType::Undefined) [[likely]] {
    auto* array = reinterpret_cast<PyArrayObject*>(object);
    if (data_type(PyArray_TYPE(array)) == slot.element) {
      return convert_array(array, slot.element);
    }
  }
  if (object == Py_None && !slot.is_optional)
    invalid_argument("input '" + slot.name + "' is None, but it is a " + slot.declared +
                     " and no optional; pass a value");
  if (const Value* held = held_value(object)) {
    check_held(*held, slot);
    return *held;
  }
  return convert(object, slot.type, slot);
}

}  // namespace

Value value_from_python(PyObject* object, const InputSlot& slot) {
  Value value = convert_object(object, slot);
  // ONNX Runtime checks no shape against a declared scalar, and programs feed one as an array of one element.
  if (slot.is_scalar && value.is_tensor() && value.tensor().shape().rank() != 0 && value.tensor().count() == 1)
    value = value.tensor().reshaped({});
  return value;
}

Tensor tensor_from_array(PyArrayObject* array, const std::string& owner) {
  return convert_array(array, checked_type(array, owner));
}

void release_object(PyObject* object) noexcept {
  if (PyGILState_Check()) {
    Py_DECREF(object);
    return;
  }
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  Py_DECREF(object);
  PyGILState_Release(state);
}

std::string text_from_python(PyObject* text) {
  Py_ssize_t size = 0;
  if (const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size)) return {utf8, static_cast<size_t>(size)};
  PyErr_Clear();
  const auto bytes = py::reinterpret_steal<py::object>(PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape"));
  if (!bytes) throw py::error_already_set();
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

}  // namespace fastort::bindings
