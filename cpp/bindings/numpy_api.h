#pragma once

// NumPy's C API, shared by the sources of the extension: module.cpp imports the table, the others refer to it.
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL FASTORT_ARRAY_API
#ifndef FASTORT_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif

#include <pybind11/pybind11.h>

#include <numpy/arrayobject.h>
