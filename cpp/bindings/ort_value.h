#pragma once

#include <pybind11/pybind11.h>

#include "tensor/value.h"

namespace fastort::bindings {

// The engine's value behind `fastort.OrtValue`.
struct OrtValue {
  Value value;
};

// The value of a `fastort.OrtValue` or of its inner object, or nullptr for anything else.
const Value* held_value(PyObject* object);

void bind_ort_value(pybind11::module_& module);

}  // namespace fastort::bindings
