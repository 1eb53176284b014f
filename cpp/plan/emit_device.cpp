#include "plan/emit_device.h"

#include <algorithm>

#include "plan/float16.h"

namespace fastort {
namespace {

// A smaller result of a subgraph (a condition, a counter) is likely to be read by the host.
constexpr size_t kMinStayingResult = 1024;

}  // namespace

namespace {

// The shaders of a node, each named once.
std::string names_of(const GpuWork& work) {
  std::vector<std::string_view> names;
  for (const GpuDispatch& dispatch : work.dispatches)
    if (std::find(names.begin(), names.end(), dispatch.shader) == names.end()) names.push_back(dispatch.shader);
  std::string text = "shader";
  for (const std::string_view name : names) text.append(name == names.front() ? " " : " + ").append(name);
  return text;
}

bool reads_input(const GpuWork& work, int input) {
  for (const GpuDispatch& dispatch : work.dispatches)
    for (const GpuOperand& operand : dispatch.operands)
      if (operand.kind == GpuOperand::Kind::Input && operand.index == input) return true;
  return false;
}

}  // namespace

void DeviceEmitter::segment(std::span<const int> nodes) {
  device_.begin_segment();
  std::vector<int> fed, made;  // storages of the step
  for (const int index : nodes) {
    DeviceNode& placed = draft_.device_nodes[static_cast<size_t>(index)];
    const Node& node = draft_.graph.nodes[static_cast<size_t>(placed.node)];
    const std::string label = describe(draft_.graph, node);
    std::vector<DeviceOperand> inputs, outputs;
    for (size_t i = 0; i < placed.inputs.size(); ++i) {
      inputs.emplace_back();
      if (node.inputs[i] == kNoValue) continue;
      const TensorDesc& desc = placed.inputs[i];
      // A recipe may read constants in a form of its own.
      if (desc.constant && !reads_input(placed.form.work, static_cast<int>(i))) continue;
      if (desc.constant)
        inputs.back() = device_.add_tensor_constant(constant_as(*desc.constant, placed.form.inputs[i].type));
      else
        inputs.back() = operand(node.inputs[i], desc, placed.form.inputs[i].type, placed.node, label, &fed);
    }
    for (size_t i = 0; i < placed.outputs.size(); ++i) {
      outputs.emplace_back();
      if (node.outputs[i] == kNoValue) continue;
      const TensorDesc& desc = placed.form.outputs[i];
      outputs.back() = device_.add_tensor(physical_bytes(desc, Layout::Plain));
      forms_of(node.outputs[i]).of(desc.type) = outputs.back();
    }
    const std::string shaders = names_of(placed.form.work);
    device_.add_work(placed.node, label, std::move(placed.form.work), inputs, outputs);
    for (ValueId id : node.inputs)
      if (id != kNoValue) --draft_.uses[at(draft_.known(id).root)];
    Decision decision;
    decision.node = placed.node;
    const bool half = !placed.form.outputs.empty() && placed.form.outputs.front().type == DataType::Float16;
    decision.candidate = shaders + (half ? ", float16" : "");
    decision.provider = draft_.services->device->name();
    decision.notes = placed.notes;
    if (draft_.services->keep_types) {
      decision.inputs = placed.inputs;
      decision.outputs = placed.outputs;
    }
    draft_.plan->decisions.push_back(std::make_shared<const Decision>(std::move(decision)));
  }
  for (const int index : nodes) {
    const DeviceNode& placed = draft_.device_nodes[static_cast<size_t>(index)];
    const Node& node = draft_.graph.nodes[static_cast<size_t>(placed.node)];
    for (size_t i = 0; i < placed.outputs.size(); ++i) {
      const ValueId id = node.outputs[i];
      if (id == kNoValue || !draft_.host_reads.contains(id)) continue;
      const TensorDesc& desc = placed.outputs[i];
      device_.download(operand(id, desc, desc.type, placed.node, describe(draft_.graph, node), nullptr));
      made.push_back(host_storage(id, desc));
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

std::shared_ptr<Tensor> DeviceEmitter::constant_as(const Tensor& tensor, DataType type) {
  if (tensor.type() == type) return std::make_shared<Tensor>(tensor);
  auto& converted = converted_[{tensor.identity(), type}];
  if (!converted) converted = std::make_shared<Tensor>(as_float_type(tensor, type));
  return converted;
}

// The tensor that holds a value as numbers of a type: made by an earlier node, fetched from the host (which adds to
// `fed`), or converted from either.
DeviceOperand DeviceEmitter::operand(ValueId id, const TensorDesc& desc, DataType type, int node,
                                     const std::string& label, std::vector<int>* fed) {
  Forms& forms = forms_of(draft_.known(id).root);
  if (forms.of(type).kind != DeviceOperand::Kind::None) return forms.of(type);
  const bool is_brain = desc.type == DataType::BFloat16;
  const bool is_float = desc.type == DataType::Float || desc.type == DataType::Float16 || is_brain;
  const DataType narrow = is_brain ? DataType::BFloat16 : DataType::Float16;
  const DataType other = type == DataType::Float ? narrow : DataType::Float;
  if (fed && (!is_float || forms.of(other).kind == DeviceOperand::Kind::None)) {
    DeviceOperand& tensor = forms.of(desc.type);
    tensor = device_.add_tensor(physical_bytes(desc, Layout::Plain));
    device_.upload(tensor);
    fed->push_back(steps_.storage_of(id, Layout::Plain));
    if (desc.type == type) return tensor;
  }
  TensorDesc changed = desc;
  changed.type = type;
  const DeviceOperand result = device_.add_tensor(physical_bytes(changed, Layout::Plain));
  const DeviceOperand inputs[] = {forms.of(other)}, outputs[] = {result};
  if (desc.shape.count() != 0)
    device_.add_work(node, label, conversion(desc.shape.count(), other, type, draft_.services->device->traits()),
                     inputs, outputs);
  return forms.of(type) = result;
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
  DevicePlan device_plan = device_.finish();
  // Weights are shared; an address for each operand of a call is in every run context.
  for (const DeviceConstant& constant : device_plan.constants)
    if (!constant.source) draft_.plan->device_bytes += constant.constant.bytes;
  for (const DeviceSegment& segment : device_plan.segments)
    for (const DeviceCall& call : segment.calls) draft_.plan->device_bytes += call.operands.size() * sizeof(uint64_t);
  auto kernels = draft_.services->device->compile(std::move(device_plan));
  const auto state = static_cast<int32_t>(draft_.plan->stateful.size());
  draft_.plan->stateful.push_back(kernels.front().get());
  std::vector<std::shared_ptr<Tensor>> holders;
  for (DeviceNode& node : draft_.device_nodes) holders.insert(holders.end(), node.holders.begin(), node.holders.end());
  for (size_t i = 0; i < kernels.size(); ++i) {
    Step& step = draft_.plan->steps[static_cast<size_t>(device_steps_[i])];
    step.kernel = kernels[i].get();
    step.state = state;
    auto made = std::make_shared<Prepared>();
    made->kernel = std::move(kernels[i]);
    made->holders = holders;
    draft_.plan->kernels.push_back(std::move(made));
  }
}

void DeviceEmitter::find_uses() {
  if (device_steps_.empty()) return;
  find_device_uses(*draft_.plan, device_steps_, draft_.services->device->device());
  const auto& outputs = draft_.graph.outputs;
  for (External& external : draft_.plan->externals)
    external.stays = external.made_here && external.device_only && !draft_.program.needs_value(external.id) &&
                     external.shape.count() != 0 &&
                     (std::find(outputs.begin(), outputs.end(), external.id) == outputs.end() ||
                      (draft_.services->is_body && external.bytes() >= kMinStayingResult));
}

}  // namespace fastort
