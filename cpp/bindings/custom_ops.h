#pragma once

#include <pybind11/pybind11.h>

#include "ops/core/custom.h"

namespace fastort::bindings {

// An operator that a program brings along, as Python holds it.
struct CustomOpHandle {
  CustomOpPtr op;
};

// `CustomOp`, `python_op`, `load_custom_library` and `register_custom_op`.
void bind_custom_ops(pybind11::module_& module);

}  // namespace fastort::bindings
