#include "ops/core/merge_types.h"

#include <utility>

namespace fastort {

bool same_kind(const ValueType& a, const ValueType& b) {
  if (a.kind == ValueKind::Unknown || b.kind == ValueKind::Unknown) return true;
  if (a.kind != b.kind) return false;
  if (a.element != DataType::Undefined && b.element != DataType::Undefined && a.element != b.element) return false;
  return a.inner == nullptr || b.inner == nullptr || same_kind(*a.inner, *b.inner);
}

ValueType prefer(const ValueType& first, const ValueType& second) {
  if (first.kind == ValueKind::Unknown) return second;
  ValueType result = first;
  if (second.kind != first.kind) return result;
  if (result.element == DataType::Undefined) result.element = second.element;
  if (!result.has_shape && second.has_shape) {
    result.has_shape = true;
    result.shape = second.shape;
  }
  if (result.inner == nullptr) result.inner = second.inner;
  return result;
}

std::optional<ValueType> merge_types(const ValueType& declared, const ValueType& inferred, const SymbolTable& symbols,
                                     bool keep_names) {
  if (!same_kind(declared, inferred)) return std::nullopt;
  ValueType result = prefer(inferred, declared);
  if (declared.inner != nullptr && inferred.inner != nullptr) {
    auto inner = merge_types(*declared.inner, *inferred.inner, symbols, keep_names);
    // Items of a sequence may differ in shape: what contradicts says only that they do.
    if (inner) result.inner = std::make_shared<const ValueType>(*std::move(inner));
  }
  if (!declared.has_shape || !inferred.has_shape) return result;
  if (declared.shape.rank() != inferred.shape.rank()) return std::nullopt;
  for (int i = 0; i < inferred.shape.rank(); ++i) {
    const Dim of_model = declared.shape[i], found = inferred.shape[i];
    if (is_known(of_model) && is_known(found) && of_model != found) return std::nullopt;
    if (is_known(found)) continue;
    const bool better = is_known(of_model) || symbols.is_unknown(found) || (keep_names && symbols.is_named(of_model));
    if (better) result.shape[i] = of_model;
  }
  return result;
}

}  // namespace fastort
