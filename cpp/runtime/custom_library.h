#pragma once

#include <string>
#include <vector>

#include "ops/core/custom.h"

namespace fastort {

// Loads a shared library of operators (see include/fastort/custom_op.h) and returns them. Throws Fail where it cannot
// be loaded or does not fit, InvalidArgument for the name of an operator of fastort's own. The library stays loaded for
// as long as the process lives.
std::vector<CustomOpPtr> load_custom_library(const std::string& path);

}  // namespace fastort
