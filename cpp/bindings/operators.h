#pragma once

#include <pybind11/pybind11.h>

namespace fastort::bindings {

// `operators()`: what the engine computes, a dict for each operator, for tools/operators.py.
void bind_operators(pybind11::module_& module);

}  // namespace fastort::bindings
