#pragma once

#include <string>

#include "bindings/numpy_api.h"
#include "tensor/data_type.h"

namespace fastort::bindings {

// NumPy's type number for an element type. Types that NumPy lacks are those of `ml_dtypes`, which is imported when the
// first of them is asked for; strings are objects.
int numpy_type(DataType type);

// The element type behind NumPy's type number; every kind of text is String. Undefined where ONNX has none.
DataType data_type(int numpy_type);

// How a user writes the type: "np.float32", "ml_dtypes.bfloat16", "str".
std::string numpy_name(DataType type);

// The element type that a NumPy dtype, a NumPy scalar class or ONNX's number stands for; raises TypeError for others.
DataType data_type_from_python(pybind11::handle dtype);

}  // namespace fastort::bindings
