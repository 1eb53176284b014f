#pragma once

#include "plan/planning.h"

namespace fastort {

// Walks the nodes from the plan's beginning while shapes are known, and decides of each whether it is computed on the
// spot, views another value's memory, or becomes a step, of the CPU or of the device. Sets the end.
void walk(Draft& draft);

// The same for a draft that was walked before, whose inputs have changed: looks at the nodes that see a change. False,
// with the draft of no more use, where one of them becomes something else than it was.
bool walk_again(Draft& draft);

}  // namespace fastort
