#pragma once

#include <span>
#include <vector>

#include "plan/device.h"

namespace fastort {

// A node as the device runs it: its operands with the types that they have there, which may be float16 in place of
// float32 and the other way round, and the work.
struct DeviceForm {
  std::vector<TensorDesc> inputs, outputs;
  GpuWork work;
};

// The provider's form of a node with concrete, plain inputs and outputs, or why the node stays on the CPU. `device` are
// the provider's traits, or others that make recipes choose otherwise. Converted constants that the form's descriptions
// point to are added to `constants`.
Refusal place_on_device(const DeviceProvider& provider, const GpuTraits& device, const OpDef& op,
                        const OpContext& context, DeviceForm& form, std::vector<std::shared_ptr<Tensor>>& constants);

// A node to be put in order.
struct PlacedNode {
  bool on_device = false;
  std::vector<int> needs;  // earlier items whose results it reads
};

// An order of the items in which each stands behind what it needs, and the places change as seldom as a walk that stays
// where it is for as long as it can finds.
std::vector<int> order_by_place(std::span<const PlacedNode> nodes);

}  // namespace fastort
