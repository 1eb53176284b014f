#pragma once

#include <span>
#include <vector>

#include "plan/device.h"

namespace fastort {

// The provider's work for a node with concrete, plain inputs and outputs, or why the node stays on the CPU.
Refusal place_on_device(const DeviceProvider& provider, const OpDef& op, const OpContext& context, GpuWork& work);

// A node to be put in order.
struct PlacedNode {
  bool on_device = false;
  std::vector<int> needs;  // earlier items whose results it reads
};

// An order of the items in which each stands behind what it needs, and the places change as seldom as a walk that stays
// where it is for as long as it can finds.
std::vector<int> order_by_place(std::span<const PlacedNode> nodes);

}  // namespace fastort
