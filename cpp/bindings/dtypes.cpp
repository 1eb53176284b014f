#include "bindings/dtypes.h"

#include <array>
#include <atomic>
#include <mutex>

#include "bindings/errors.h"
#include "bindings/gil.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

struct NativeType {
  DataType type;
  int number;
  const char* name;
};

constexpr NativeType kNative[] = {
    {DataType::Float, NPY_FLOAT32, "np.float32"},
    {DataType::UInt8, NPY_UINT8, "np.uint8"},
    {DataType::Int8, NPY_INT8, "np.int8"},
    {DataType::UInt16, NPY_UINT16, "np.uint16"},
    {DataType::Int16, NPY_INT16, "np.int16"},
    {DataType::Int32, NPY_INT32, "np.int32"},
    {DataType::Int64, NPY_INT64, "np.int64"},
    {DataType::String, NPY_OBJECT, "str"},
    {DataType::Bool, NPY_BOOL, "np.bool_"},
    {DataType::Float16, NPY_FLOAT16, "np.float16"},
    {DataType::Double, NPY_FLOAT64, "np.float64"},
    {DataType::UInt32, NPY_UINT32, "np.uint32"},
    {DataType::UInt64, NPY_UINT64, "np.uint64"},
    {DataType::Complex64, NPY_COMPLEX64, "np.complex64"},
    {DataType::Complex128, NPY_COMPLEX128, "np.complex128"},
};

struct ExtensionType {
  DataType type;
  const char* name;
};

constexpr ExtensionType kExtension[] = {
    {DataType::BFloat16, "bfloat16"},
    {DataType::Float8E4M3FN, "float8_e4m3fn"},
    {DataType::Float8E4M3FNUZ, "float8_e4m3fnuz"},
    {DataType::Float8E5M2, "float8_e5m2"},
    {DataType::Float8E5M2FNUZ, "float8_e5m2fnuz"},
    {DataType::UInt4, "uint4"},
    {DataType::Int4, "int4"},
    {DataType::Float4E2M1, "float4_e2m1fn"},
    {DataType::Float8E8M0, "float8_e8m0fnu"},
    {DataType::UInt2, "uint2"},
    {DataType::Int2, "int2"},
    {DataType::Float6E2M3, "float6_e2m3fn"},
    {DataType::Float6E3M2, "float6_e3m2fn"},
};

constexpr int kMissing = -1;

// NumPy's numbers of the types of ml_dtypes, in the order of kExtension; kMissing for one that its version lacks.
const std::array<int, std::size(kExtension)>* extension_numbers() {
  static std::array<int, std::size(kExtension)> numbers{};
  static std::atomic<bool> loaded{false};
  static GilMutex mutex;
  if (loaded.load(std::memory_order_acquire)) return &numbers;
  py::object module;
  try {
    module = py::module_::import("ml_dtypes");
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
    return nullptr;
  }
  std::array<int, std::size(kExtension)> found;
  for (size_t i = 0; i < found.size(); ++i) {
    found[i] = kMissing;
    PyArray_Descr* descr = nullptr;
    if (py::hasattr(module, kExtension[i].name) &&
        PyArray_DescrConverter(py::object(module.attr(kExtension[i].name)).ptr(), &descr)) {
      found[i] = descr->type_num;
      Py_DECREF(descr);
    }
  }
  // Another thread may have found the same in the meantime.
  const std::lock_guard lock(mutex);
  if (!loaded.load(std::memory_order_relaxed)) numbers = found;
  loaded.store(true, std::memory_order_release);
  return &numbers;
}

}  // namespace

int numpy_type(DataType type) {
  for (const NativeType& entry : kNative)
    if (entry.type == type) return entry.number;
  const auto* numbers = extension_numbers();
  for (size_t i = 0; numbers && i < numbers->size(); ++i)
    if (kExtension[i].type == type && (*numbers)[i] != kMissing) return (*numbers)[i];
  raise(PyExc_ImportError, "values of type tensor(" + std::string(name(type)) +
                               ") travel as ml_dtypes arrays: install a recent version of the package ml_dtypes");
}

DataType data_type(int numpy_type) {
  switch (numpy_type) {
    case NPY_FLOAT32:
      return DataType::Float;
    case NPY_INT64:
      return DataType::Int64;
    case NPY_UNICODE:
    case NPY_STRING:
    case NPY_VSTRING:
    case NPY_OBJECT:
      return DataType::String;
    // C types of the same width have numbers of their own.
    case NPY_LONGLONG:
      return DataType::Int64;
    case NPY_ULONGLONG:
      return DataType::UInt64;
    default:
      break;
  }
  for (const NativeType& entry : kNative)
    if (entry.number == numpy_type) return entry.type;
  if (numpy_type < NPY_USERDEF) {
    // Where int and long are equally wide, one of them is not NPY_INT32.
    if (numpy_type == NPY_LONG) return sizeof(long) == 4 ? DataType::Int32 : DataType::Int64;
    if (numpy_type == NPY_ULONG) return sizeof(long) == 4 ? DataType::UInt32 : DataType::UInt64;
    if (numpy_type == NPY_INT) return DataType::Int32;
    if (numpy_type == NPY_UINT) return DataType::UInt32;
    return DataType::Undefined;
  }
  const auto* numbers = extension_numbers();
  for (size_t i = 0; numbers && i < numbers->size(); ++i)
    if ((*numbers)[i] == numpy_type) return kExtension[i].type;
  return DataType::Undefined;
}

std::string numpy_name(DataType type) {
  for (const NativeType& entry : kNative)
    if (entry.type == type) return entry.name;
  for (const ExtensionType& entry : kExtension)
    if (entry.type == type) return std::string("ml_dtypes.") + entry.name;
  return "?";
}

DataType data_type_from_python(py::handle dtype) {
  if (PyLong_Check(dtype.ptr())) {
    const long number = PyLong_AsLong(dtype.ptr());
    if (number > 0 && number < kDataTypes) return static_cast<DataType>(number);
    PyErr_Clear();
    raise(PyExc_TypeError, "no ONNX element type has the number " + py::str(dtype).cast<std::string>());
  }
  PyArray_Descr* descr = nullptr;
  if (!PyArray_DescrConverter(dtype.ptr(), &descr)) throw py::error_already_set();
  const DataType type = data_type(descr->type_num);
  Py_DECREF(descr);
  if (type == DataType::Undefined)
    raise(PyExc_TypeError, "no ONNX element type stands for the dtype " + py::repr(dtype).cast<std::string>());
  return type;
}

}  // namespace fastort::bindings
