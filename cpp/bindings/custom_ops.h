#pragma once

#include <pybind11/pybind11.h>

namespace fastort::bindings {

// `register_python_op` and `load_custom_library`.
void bind_custom_ops(pybind11::module_& module);

}  // namespace fastort::bindings
