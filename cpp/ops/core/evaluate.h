#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/op.h"

namespace fastort {

// Computes one node on the calling thread with its first CPU candidate that accepts plain layouts. Used where a value
// is needed before there is a plan: constant folding and shape arithmetic. Inputs may be empty where left out.
// Throws Error(Fail) before it makes an output of more than `max_output_bytes`.
std::vector<Value> evaluate_node(const OpDef& op, const Node& node, std::span<const Value> inputs,
                                 size_t max_output_bytes = SIZE_MAX);

}  // namespace fastort
