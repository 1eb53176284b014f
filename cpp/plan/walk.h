#pragma once

#include "plan/planning.h"

namespace fastort {

// Walks the nodes from the plan's beginning while shapes are known, and decides of each whether it is computed on the
// spot, views another value's memory, or becomes a step, of the CPU or of the device. Sets the plan's end.
void walk(Draft& draft);

}  // namespace fastort
