#pragma once

#include <string>

namespace fastort {

// Loads a shared library of operators (see include/fastort/custom_op.h) and makes them known. Throws Fail where it
// cannot be loaded or does not fit. A library is loaded once, and for as long as the process lives.
void load_custom_library(const std::string& path);

}  // namespace fastort
