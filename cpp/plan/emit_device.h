#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "plan/device_part.h"
#include "plan/step_list.h"

namespace fastort {

// Writes the steps of the nodes that run on a device.
class DeviceEmitter {
 public:
  DeviceEmitter(Draft& draft, StepList& steps) : draft_(draft), steps_(steps) {}
  // Nodes of the device that follow one another, as indices into Draft::device_nodes, are one step. What only the
  // device reads never comes to the host.
  void segment(std::span<const int> nodes);
  // Hands the segments to the provider, whose kernels take their steps.
  void finish();
  // When all steps have their places: notes which values may stay on the device as they enter and leave the plan.
  void find_uses();

 private:
  // A value's memory on the device, as float16 or bfloat16, of which no value is both, and as anything else.
  struct Forms {
    DeviceOperand half, plain;
    DeviceOperand& of(DataType type) { return type == DataType::Float16 || type == DataType::BFloat16 ? half : plain; }
  };
  Forms& forms_of(ValueId root) { return device_values_[root]; }
  std::shared_ptr<Tensor> constant_as(const Tensor& tensor, DataType type);
  DeviceOperand operand(ValueId id, const TensorDesc& desc, DataType type, int node, const std::string& label,
                        std::vector<int>* fed);
  int host_storage(ValueId id, const TensorDesc& desc);

  Draft& draft_;
  StepList& steps_;
  DevicePart device_;
  std::vector<int> device_steps_;
  std::unordered_map<ValueId, Forms> device_values_;  // by root
  std::map<std::pair<const void*, DataType>, std::shared_ptr<Tensor>> converted_;
};

}  // namespace fastort
