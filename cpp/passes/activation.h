#pragma once

#include <optional>
#include <string>
#include <vector>

#include "passes/rewrite.h"

namespace fastort {

// An activation that fused kernels apply in their epilogue, by the names of com.microsoft FusedConv and ours (see
// kernels/activation.h), with its parameters in order.
struct FusibleActivation {
  std::string name;
  std::vector<float> parameters;
};

// The node as such an activation of its first input, where it is one.
std::optional<FusibleActivation> match_activation(Sweep& sweep, const Node& node);

}  // namespace fastort
