#include "plan/planning.h"

namespace fastort {

Draft::Draft(const Program& from, int begin, std::span<const PlanInput> inputs, const PlanServices& with)
    : program(from),
      graph(from.graph()),
      services(with),
      plan(std::make_shared<Instance>()),
      values(graph.values.size()),
      written_as(graph.values.size(), kNoValue),
      external_of(graph.values.size(), -1),
      uses(graph.values.size(), 0) {
  plan->begin = begin;
  for (const PlanInput& input : inputs) {
    Known& known = values[at(input.id)];
    known.root = input.id;
    if (!input.is_tensor) {
      known.state = Known::State::Held;
      continue;
    }
    known.state = Known::State::Planned;
    known.desc = {input.type, input.shape, Layout::Plain, nullptr};
    if (input.value) set_value(known, *input.value);
    add_external({input.id, input.type, input.shape, false});
  }
}

Known& Draft::known(ValueId id) {
  Known& entry = values[at(id)];
  if (entry.state == Known::State::Absent && graph.value(id).constant) {
    const auto& constant = graph.value(id).constant;
    entry.state = Known::State::Planned;
    entry.root = id;
    entry.desc = {constant->type(), constant->shape(), Layout::Plain, constant.get()};
    set_value(entry, *constant);
    entry.desc.constant = constant.get();
  }
  return entry;
}

const Tensor* Draft::keep(const Tensor& tensor) {
  auto [entry, added] = kept_.try_emplace(tensor.identity());
  if (added || entry->second->shape() != tensor.shape()) entry->second = std::make_shared<Tensor>(tensor);
  holders.push_back(entry->second);
  return entry->second.get();
}

uint32_t Draft::add_external(External external) {
  external_of[at(external.id)] = static_cast<int>(plan->externals.size());
  plan->externals.push_back(std::move(external));
  return static_cast<uint32_t>(plan->externals.size() - 1);
}

}  // namespace fastort
