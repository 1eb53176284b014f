#pragma once

#include <string>

#include "passes/rewrite.h"

// Operands of attention as FusedAttention reads them, found behind the views that a model makes of them.
namespace fastort::attention {

struct Operand {
  ValueId value = kNoValue;
  std::string layout;
  int64_t parts = 1, part = 0;
  Shape shape;  // to give to `value`
  float scale = 1;
};

enum class Role { Query, Key, Value };

// Looks through the views behind an operand [B,H,S,D] of these sizes for a layout that needs no copy. `transposed`: the
// value is [B,H,D,S]. Factors on the way join the scale, except those of V.
Operand find_operand(Sweep& sweep, ValueId id, bool transposed, const Dim (&sizes)[4], Role role);

// Says in the attributes of `fused`, which will stand in front of node `before`, how operand `i` (Q, K, V) lies. Gives
// the value to read, or kNoValue where its shape cannot be a constant.
ValueId set_operand(Sweep& sweep, int before, Node& fused, int i, const Operand& operand);

}  // namespace fastort::attention
