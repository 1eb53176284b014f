#include "tensor/dispatch.h"

#include "base/error.h"

namespace fastort {

void refuse_type(std::string_view what, DataType type) {
  not_implemented(std::string(what) + " of " + std::string(name(type)) + " elements is not supported");
}

}  // namespace fastort
