#include "plan/planning.h"

#include <cstring>

namespace fastort {
namespace {

bool same_contents(const Tensor& a, const Tensor& b) {
  if (a.empty() != b.empty()) return false;
  if (a.empty()) return true;
  if (a.type() != b.type() || a.shape() != b.shape() || a.type() == DataType::String) return false;
  return a.identity() == b.identity() || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace

bool same(const Known& a, const Known& b) {
  return a.state == b.state && a.root == b.root && a.desc.type == b.desc.type && a.desc.shape == b.desc.shape &&
         a.desc.constant == b.desc.constant && a.dims == b.dims && same_contents(a.value, b.value);
}

Draft::Draft(const Program& from, int begin)
    : program(from),
      graph(from.graph()),
      values(graph.values.size()),
      changed(graph.values.size(), 0),
      fates(graph.nodes.size(), Fate::None),
      planned_at(graph.nodes.size(), -1),
      written_as(graph.values.size(), kNoValue),
      external_of(graph.values.size(), -1),
      uses(graph.values.size(), 0),
      begin_(begin) {
  first_input_.reserve(graph.nodes.size() + 1);
  for (const Node& node : graph.nodes) {
    first_input_.push_back(node_inputs_.size());
    node_inputs_.insert(node_inputs_.end(), node.inputs.begin(), node.inputs.end());
  }
  first_input_.push_back(node_inputs_.size());
}

void Draft::begin_plan(std::span<const PlanInput> inputs) {
  plan = std::make_shared<Instance>();
  plan->begin = begin_;
  symbols = SymbolTable();
  leaving.clear();
  written_as.clear();
  external_of.clear();
  uses.clear();
  for (const PlanInput& input : inputs)
    if (input.is_tensor) add_external({input.id, input.type, input.shape, false});
}

void Draft::start(std::span<const PlanInput> inputs) {
  begin_plan(inputs);
  for (const PlanInput& input : inputs) {
    Known& known = values[at(input.id)];
    known.root = input.id;
    known.state = input.is_tensor ? Known::State::Planned : Known::State::Held;
    if (!input.is_tensor) continue;
    known.desc = {input.type, input.shape, Layout::Plain, nullptr};
    // The caller's memory is its own again when the run is over.
    if (input.value) set_value(known, input.value->clone());
  }
}

bool Draft::restart(std::span<const PlanInput> inputs) {
  std::fill(changed.begin(), changed.end(), char{0});
  for (const PlanInput& input : inputs) {
    Known& known = values[at(input.id)];
    if (known.state != (input.is_tensor ? Known::State::Planned : Known::State::Held)) return false;
    if (!input.is_tensor) continue;
    if (known.desc.type != input.type || known.desc.shape.rank() != input.shape.rank()) return false;
    if (known.value.empty() != (input.value == nullptr)) return false;
    const bool same_shape = known.desc.shape == input.shape;
    if (same_shape && (!input.value || same_contents(known.value, *input.value))) continue;
    changed[at(input.id)] = 1;
    known.desc.shape = input.shape;
    known.dims.reset();
    if (input.value) set_value(known, input.value->clone());
  }
  begin_plan(inputs);
  return true;
}

Known& Draft::known(ValueId id) {
  Known& entry = values[at(id)];
  if (entry.state == Known::State::Absent && graph.value(id).constant) {
    const auto& constant = graph.value(id).constant;
    entry.state = Known::State::Planned;
    entry.root = id;
    set_value(entry, *constant);
    entry.desc = {constant->type(), constant->shape(), Layout::Plain, constant.get()};
  }
  return entry;
}

uint32_t Draft::add_external(External external) {
  external_of[at(external.id)] = static_cast<int>(plan->externals.size());
  plan->externals.push_back(std::move(external));
  return static_cast<uint32_t>(plan->externals.size() - 1);
}

const Tensor* keep(const Tensor& tensor, std::vector<std::shared_ptr<Tensor>>& holders) {
  holders.push_back(std::make_shared<Tensor>(tensor));
  return holders.back().get();
}

std::shared_ptr<const Prepared> prepared(std::unique_ptr<Kernel> kernel, std::vector<std::shared_ptr<Tensor>> holders) {
  auto made = std::make_shared<Prepared>();
  made->workspace_bytes = kernel->workspace_bytes();
  made->unread_inputs = kernel->unread_inputs();
  made->stateful = kernel->make_state() != nullptr;
  made->kernel = std::move(kernel);
  made->holders = std::move(holders);
  return made;
}

}  // namespace fastort
