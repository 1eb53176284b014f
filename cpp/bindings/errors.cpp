#include "bindings/errors.h"

#include <array>
#include <exception>
#include <new>

#include "base/error.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

struct ExceptionClass {
  ErrorCode code;
  const char* name;
  const char* status;  // ONNX Runtime's name of the code, part of every message
  const char* doc;
};

constexpr ExceptionClass kClasses[] = {
    {ErrorCode::Fail, "Fail", "FAIL", "The engine could not do what was asked."},
    {ErrorCode::InvalidArgument, "InvalidArgument", "INVALID_ARGUMENT", "An argument or an input does not fit."},
    {ErrorCode::NoSuchFile, "NoSuchFile", "NO_SUCHFILE", "The model's file does not exist."},
    {ErrorCode::NoModel, "NoModel", "NO_MODEL", "No model was loaded."},
    {ErrorCode::EngineError, "EngineError", "ENGINE_ERROR", "An execution provider failed."},
    {ErrorCode::RuntimeException, "RuntimeException", "RUNTIME_EXCEPTION", "An operator failed while it ran."},
    {ErrorCode::InvalidProtobuf, "InvalidProtobuf", "INVALID_PROTOBUF", "The bytes are no ONNX model."},
    {ErrorCode::ModelLoaded, "ModelLoaded", "MODEL_LOADED", "A model is loaded already."},
    {ErrorCode::NotImplemented, "NotImplemented", "NOT_IMPLEMENTED", "An operator or a mode is not supported."},
    {ErrorCode::InvalidGraph, "InvalidGraph", "INVALID_GRAPH", "The model breaks the rules of ONNX."},
    {ErrorCode::EPFail, "EPFail", "EP_FAIL", "An execution provider refused the model."},
};

// Classes that programs name in `except`, which nothing here raises.
constexpr ExceptionClass kUnused[] = {
    {ErrorCode::Fail, "ModelRequiresCompilation", "", "The model must be compiled for its provider first."},
    {ErrorCode::Fail, "NotFound", "", "Something was not found."},
    {ErrorCode::Fail, "DeviceReset", "", "A device was reset."},
};

std::array<PyObject*, 13> classes{};  // by ErrorCode; owned by the module

void set_engine_error(const Error& error) {
  const ExceptionClass* entry = &kClasses[0];
  for (const ExceptionClass& candidate : kClasses)
    if (candidate.code == error.code()) entry = &candidate;
  std::string text = "[ONNXRuntimeError] : " + std::to_string(static_cast<int>(entry->code)) + " : " + entry->status +
                     " : " + error.what();
  PyObject* type = classes[static_cast<size_t>(error.code())];
  // Names in a model need not be valid UTF-8.
  PyObject* message = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace");
  if (!message) return;
  PyErr_SetObject(type, message);
  Py_DECREF(message);
}

PyObject* new_class(py::module_& module, const char* name, const char* doc, PyObject* base) {
  // The module that a user imports them from, which is also where pickle looks.
  const std::string full_name = std::string("fastort.capi.onnxruntime_pybind11_state.") + name;
  PyObject* type = PyErr_NewExceptionWithDoc(full_name.c_str(), doc, base, nullptr);
  if (!type) throw py::error_already_set();
  module.add_object(name, py::reinterpret_steal<py::object>(type));
  return type;
}

}  // namespace

void bind_errors(py::module_& module) {
  for (const ExceptionClass& entry : kClasses)
    classes[static_cast<size_t>(entry.code)] = new_class(module, entry.name, entry.doc, PyExc_Exception);
  for (const ExceptionClass& entry : kUnused) new_class(module, entry.name, entry.doc, PyExc_Exception);
  new_class(module, "ModelLoadCanceled", "SessionOptions.set_load_cancellation_flag stopped the making of the session.",
            PyExc_Exception);
  classes[static_cast<size_t>(ErrorCode::Cancelled)] =
      new_class(module, "Cancelled", "The run was stopped by RunOptions.terminate, a time-out or a signal.",
                classes[static_cast<size_t>(ErrorCode::Fail)]);
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      set_engine_error(error);
    }
  });
}

void set_python_error() noexcept {
  try {
    throw;
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const Error& error) {
    set_engine_error(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    set_engine_error(Error(ErrorCode::RuntimeException, error.what()));
  } catch (...) {
    set_engine_error(Error(ErrorCode::RuntimeException, "unknown exception"));
  }
}

void raise(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw py::error_already_set();
}

}  // namespace fastort::bindings
