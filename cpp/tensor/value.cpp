#include "tensor/value.h"

namespace fastort {

std::string type_string(const ValueType& type) {
  const auto inner = [&] { return type.inner ? type_string(*type.inner) : std::string("unknown"); };
  const auto element = [&] { return std::string(name(type.element)); };
  switch (type.kind) {
    case ValueKind::Unknown:
      return "unknown";
    case ValueKind::Tensor:
      return "tensor(" + element() + ")";
    case ValueKind::SparseTensor:
      return "sparse_tensor(" + element() + ")";
    case ValueKind::Sequence:
      return "seq(" + inner() + ")";
    case ValueKind::Map:
      return "map(" + element() + "," + inner() + ")";
    case ValueKind::Optional:
      return "optional(" + inner() + ")";
  }
  return "unknown";
}

}  // namespace fastort
