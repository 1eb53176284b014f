#include "plan/placement.h"

#include <limits>
#include <set>

namespace fastort {
namespace {

// Shaders count elements in 32 bits, signed.
constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max() / 2;

}  // namespace

Refusal place_on_device(const DeviceProvider& provider, const OpDef& op, const OpContext& context, GpuWork& work) {
  if (!op.gpu) return "the operator has no shader";
  bool reads_nothing = false, makes_nothing = true;
  for (const TensorDesc& desc : context.inputs) {
    if (desc.type == DataType::Undefined) continue;
    if (desc.type == DataType::String) return "strings";
    if (desc.shape.count() > kMaxElements) return "a tensor of more than 2^30 elements";
    reads_nothing |= desc.shape.count() == 0;
  }
  for (const TensorDesc& desc : context.outputs) {
    if (desc.type == DataType::Undefined) continue;
    if (desc.shape.count() > kMaxElements) return "a tensor of more than 2^30 elements";
    makes_nothing &= desc.shape.count() == 0;
  }
  if (!context.inputs.empty() && !op.gpu->types.has(context.type(0)))
    return "no shader for " + std::string(name(context.type(0)));
  if (makes_nothing) return std::nullopt;
  if (reads_nothing) return "an empty input";
  return op.gpu->work(context, provider.traits(), work);
}

std::vector<int> order_by_place(std::span<const PlacedNode> nodes) {
  std::vector<int> waiting(nodes.size(), 0);
  std::vector<std::vector<int>> readers(nodes.size());
  std::set<int> ready[2];  // by place, in the order of the graph
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const int need : nodes[i].needs) {
      readers[static_cast<size_t>(need)].push_back(static_cast<int>(i));
      ++waiting[i];
    }
    if (nodes[i].needs.empty()) ready[nodes[i].on_device].insert(static_cast<int>(i));
  }
  std::vector<int> order;
  order.reserve(nodes.size());
  int place = 0;
  while (order.size() < nodes.size()) {
    if (ready[place].empty()) place = 1 - place;
    if (ready[place].empty()) break;  // a cycle, which a graph does not have
    const int next = *ready[place].begin();
    ready[place].erase(ready[place].begin());
    order.push_back(next);
    for (const int reader : readers[static_cast<size_t>(next)])
      if (--waiting[static_cast<size_t>(reader)] == 0)
        ready[nodes[static_cast<size_t>(reader)].on_device].insert(reader);
  }
  return order;
}

}  // namespace fastort
