#include "plan/emit_device.h"

namespace fastort {

void DeviceEmitter::segment(std::span<const int> nodes) {
  device_.begin_segment();
  std::vector<int> fed, made;  // storages of the step
  for (const int index : nodes) {
    DeviceNode& placed = draft_.device_nodes[static_cast<size_t>(index)];
    const Node& node = draft_.graph.nodes[static_cast<size_t>(placed.node)];
    std::vector<DeviceOperand> inputs, outputs;
    for (size_t i = 0; i < placed.inputs.size(); ++i) {
      inputs.emplace_back();
      if (node.inputs[i] != kNoValue) inputs.back() = device_input(node.inputs[i], placed.inputs[i], fed);
    }
    for (size_t i = 0; i < placed.outputs.size(); ++i) {
      outputs.emplace_back();
      if (node.outputs[i] == kNoValue) continue;
      outputs.back() = device_.add_tensor(physical_bytes(placed.outputs[i], Layout::Plain));
      device_values_[node.outputs[i]] = outputs.back();
    }
    device_.add_work(placed.node, describe(draft_.graph, node), std::move(placed.work), inputs, outputs);
    for (ValueId id : node.inputs)
      if (id != kNoValue) --draft_.uses[at(draft_.known(id).root)];
    draft_.plan->decisions.push_back(
        {placed.node, "shader", draft_.services.device->name(), Layout::Plain, Layout::Plain, {}, {}, {}, {}});
    if (!draft_.services.keep_types) continue;
    draft_.plan->decisions.back().inputs = placed.inputs;
    draft_.plan->decisions.back().outputs = placed.outputs;
  }
  for (const int index : nodes) {
    const DeviceNode& placed = draft_.device_nodes[static_cast<size_t>(index)];
    const Node& node = draft_.graph.nodes[static_cast<size_t>(placed.node)];
    for (size_t i = 0; i < placed.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id == kNoValue || !draft_.host_reads.contains(id)) continue;
      device_.download(device_values_.at(id));
      made.push_back(host_storage(id, placed.outputs[i]));
    }
  }
  device_.end_segment();
  const size_t num_inputs = fed.size();
  fed.insert(fed.end(), made.begin(), made.end());
  Step step;
  steps_.place_operands(step, fed, num_inputs);
  device_steps_.push_back(steps_.step_index());
  draft_.plan->steps.push_back(step);
}

DeviceOperand DeviceEmitter::device_input(ValueId id, const TensorDesc& desc, std::vector<int>& fed) {
  const ValueId root = draft_.known(id).root;
  if (desc.constant) return device_.add_tensor_constant(std::make_shared<Tensor>(*desc.constant));
  if (const auto found = device_values_.find(root); found != device_values_.end()) return found->second;
  const DeviceOperand tensor = device_.add_tensor(physical_bytes(desc, Layout::Plain));
  device_.upload(tensor);
  fed.push_back(steps_.storage_of(id, Layout::Plain));
  return device_values_[root] = tensor;
}

// Where the host reads what the device made.
int DeviceEmitter::host_storage(ValueId id, const TensorDesc& desc) {
  Storage storage;
  storage.bytes = physical_bytes(desc, Layout::Plain);
  if (const ValueId written = draft_.written_as[at(id)]; written != kNoValue) {
    storage.loc = Loc::External;
    storage.base = static_cast<uint32_t>(draft_.external_of[at(written)]);
  }
  steps_.set_made_as(id, Layout::Plain);
  return steps_.place(id, Layout::Plain) = steps_.add_storage(storage);
}

void DeviceEmitter::finish() {
  if (device_.empty()) return;
  auto kernels = draft_.services.device->compile(device_.finish());
  const auto state = static_cast<int32_t>(draft_.plan->stateful.size());
  draft_.plan->stateful.push_back(kernels.front().get());
  for (size_t i = 0; i < kernels.size(); ++i) {
    Step& step = draft_.plan->steps[static_cast<size_t>(device_steps_[i])];
    step.kernel = kernels[i].get();
    step.state = state;
    draft_.plan->kernels.push_back(std::move(kernels[i]));
  }
}

void DeviceEmitter::find_uses() {
  if (!device_steps_.empty()) find_device_uses(*draft_.plan, device_steps_, draft_.services.device->device());
}

}  // namespace fastort
