#pragma once

#include "ops/op.h"

namespace fastort {

// Computes one node on the calling thread with its first CPU candidate that accepts plain layouts. Used where a value
// is needed before there is a plan: constant folding and shape arithmetic. Inputs may be empty where left out.
std::vector<Value> evaluate_node(const OpDef& op, const Node& node, std::span<const Value> inputs);

}  // namespace fastort
