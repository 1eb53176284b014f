#include "plan/device_part.h"

#include <algorithm>
#include <cstring>

#include "plan/memory.h"

namespace fastort {

void DevicePart::begin_segment() {
  plan_.segments.emplace_back();
  segment_begin_ = calls_;
}

void DevicePart::end_segment() {
  // A segment takes a moment of its own, also one without calls.
  if (calls_ == segment_begin_) ++calls_;
  for (const int tensor : plan_.segments.back().downloads) plan_.tensors[static_cast<size_t>(tensor)].last = calls_ - 1;
}

DeviceOperand DevicePart::add_tensor(size_t bytes) {
  plan_.tensors.push_back({bytes, calls_, calls_, -1});
  return {DeviceOperand::Kind::Tensor, static_cast<int>(plan_.tensors.size() - 1), false};
}

DeviceOperand DevicePart::add_constant(GpuConstant constant, std::shared_ptr<Tensor> source) {
  plan_.constants.push_back({std::move(constant), std::move(source)});
  return {DeviceOperand::Kind::Constant, static_cast<int>(plan_.constants.size() - 1), false};
}

DeviceOperand DevicePart::add_tensor_constant(std::shared_ptr<Tensor> tensor) {
  const auto [entry, added] = plain_.try_emplace(tensor->identity(), static_cast<int>(plan_.constants.size()));
  if (!added && plan_.constants[static_cast<size_t>(entry->second)].constant.bytes == tensor->bytes())
    return {DeviceOperand::Kind::Constant, entry->second, false};
  GpuConstant constant;
  constant.bytes = tensor->bytes();
  constant.format = "plain";
  constant.fill = [tensor](std::byte* into) {
    if (tensor->bytes()) std::memcpy(into, tensor->raw(), tensor->bytes());
  };
  constant.source = tensor.get();
  return add_constant(std::move(constant), std::move(tensor));
}

void DevicePart::upload(const DeviceOperand& tensor) {
  plan_.segments.back().uploads.push_back(tensor.index);
  // All uploads come before the first call.
  plan_.tensors[static_cast<size_t>(tensor.index)].first = segment_begin_;
}

void DevicePart::download(const DeviceOperand& tensor) {
  plan_.segments.back().downloads.push_back(tensor.index);
  touch(tensor.index);
}

void DevicePart::touch(int tensor) {
  DeviceTensor& entry = plan_.tensors[static_cast<size_t>(tensor)];
  entry.last = std::max(entry.last, calls_);
}

void DevicePart::add_work(int node, std::string label, GpuWork work, std::span<const DeviceOperand> inputs,
                          std::span<const DeviceOperand> outputs) {
  plan_.labels[node] = std::move(label);
  const int first = calls_, last = calls_ + std::max(0, static_cast<int>(work.dispatches.size()) - 1);
  std::vector<DeviceOperand> scratch, constants;
  for (const size_t bytes : work.scratch_bytes) {
    scratch.push_back(add_tensor(bytes));
    plan_.tensors.back().last = last;
  }
  for (GpuConstant& constant : work.constants) {
    std::shared_ptr<Tensor> source;
    if (constant.source) source = std::make_shared<Tensor>(*constant.source);
    constants.push_back(add_constant(std::move(constant), std::move(source)));
  }
  auto resolve = [&](const GpuOperand& operand) {
    const auto at = static_cast<size_t>(operand.index);
    DeviceOperand resolved;
    switch (operand.kind) {
      case GpuOperand::Kind::None:
        break;
      case GpuOperand::Kind::Input:
        resolved = inputs[at];
        break;
      case GpuOperand::Kind::Output:
        resolved = outputs[at];
        break;
      case GpuOperand::Kind::Scratch:
        resolved = scratch[at];
        break;
      case GpuOperand::Kind::Constant:
        resolved = constants[at];
        break;
    }
    resolved.written = operand.written;
    return resolved;
  };
  for (GpuDispatch& dispatch : work.dispatches) {
    DeviceCall call;
    call.node = node;
    call.shader = std::string(dispatch.shader) + (dispatch.half ? ".f16" : "");
    call.flops = dispatch.flops;
    call.constants = std::move(dispatch.constants);
    call.push = std::move(dispatch.push);
    call.groups = dispatch.groups;
    for (const GpuOperand& operand : dispatch.operands) call.operands.push_back(resolve(operand));
    plan_.segments.back().calls.push_back(std::move(call));
    ++calls_;
  }
  // An input of the first dispatch must not be where an output of the last one lies: all live through the whole work.
  for (const auto& operands : {inputs, outputs}) {
    for (const DeviceOperand& operand : operands) {
      if (operand.kind != DeviceOperand::Kind::Tensor) continue;
      DeviceTensor& tensor = plan_.tensors[static_cast<size_t>(operand.index)];
      tensor.first = std::min(tensor.first, first);
      tensor.last = std::max(tensor.last, last);
    }
  }
}

DevicePlan DevicePart::finish() {
  std::vector<Lifetime> pieces;
  for (const DeviceTensor& tensor : plan_.tensors) pieces.push_back({tensor.bytes, tensor.first, tensor.last, -1});
  plan_.arena_bytes = plan_memory(pieces);
  for (size_t i = 0; i < pieces.size(); ++i) plan_.tensors[i].offset = pieces[i].offset;
  return std::move(plan_);
}

void find_device_uses(Instance& plan, std::span<const int> steps, const void* device) {
  if (steps.empty()) return;
  plan.device = device;
  plan.device_state = plan.steps[static_cast<size_t>(steps.front())].state;
  std::vector<bool> by_device(plan.slots.size(), false);
  for (size_t segment = 0; segment < steps.size(); ++segment) {
    const Step& step = plan.steps[static_cast<size_t>(steps[segment])];
    for (uint32_t i = 0; i < uint32_t{step.num_inputs} + step.num_outputs; ++i) {
      const Slot& slot = plan.slots[step.first_slot + i];
      by_device[step.first_slot + i] = true;
      if (slot.loc != Loc::External) continue;
      const bool output = i >= step.num_inputs;
      plan.device_uses.push_back({slot.base, static_cast<uint32_t>(segment), output ? i - step.num_inputs : i, output});
      plan.externals[slot.base].device_only = true;
    }
  }
  for (size_t i = 0; i < plan.slots.size(); ++i)
    if (plan.slots[i].loc == Loc::External && !by_device[i]) plan.externals[plan.slots[i].base].device_only = false;
}

}  // namespace fastort
