#pragma once

#include <optional>

#include "graph/graph.h"

namespace fastort {

// Whether two descriptions of a value may both be right as far as its kind and element type go.
bool same_kind(const ValueType& a, const ValueType& b);

// `first`, completed by what only `second` says; where both know something, `first` is right.
ValueType prefer(const ValueType& first, const ValueType& second);

// What is known of a value that the model declares as one type and that inference finds to be another; nothing where
// the two contradict each other. Known sizes win over symbols. Of two symbols the inferred one is kept, because it says
// how the size is computed, unless nothing is known of it or `keep_names` asks for the model's own names.
std::optional<ValueType> merge_types(const ValueType& declared, const ValueType& inferred, const SymbolTable& symbols,
                                     bool keep_names);

}  // namespace fastort
