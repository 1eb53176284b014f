#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace fastort::bindings {

// Creates ONNX Runtime's exception classes in the module and lets pybind11 translate the engine's errors into them.
void bind_errors(pybind11::module_& module);

// Turns the C++ exception that is being handled into the Python exception that stands for it.
void set_python_error() noexcept;

// Raises a built-in Python exception.
[[noreturn]] void raise(PyObject* type, const std::string& message);

}  // namespace fastort::bindings
