#pragma once

#include <unordered_map>

#include "plan/device.h"
#include "plan/instance.h"

namespace fastort {

// Collects what a plan runs on a device: tensors with their lifetimes, constants, and the calls of each segment.
class DevicePart {
 public:
  void begin_segment();
  void end_segment();

  // A tensor of the arena, in use from now on.
  DeviceOperand add_tensor(size_t bytes);
  DeviceOperand add_constant(GpuConstant constant, std::shared_ptr<Tensor> source);
  // The plain contents of a tensor.
  DeviceOperand add_tensor_constant(std::shared_ptr<Tensor> tensor);
  // Filled from the next input of the segment's step before its calls.
  void upload(const DeviceOperand& tensor);
  // Copied to the next output of the segment's step behind its calls.
  void download(const DeviceOperand& tensor);
  // A node's dispatches; scratch memory lives for their length.
  void add_work(int node, std::string label, GpuWork work, std::span<const DeviceOperand> inputs,
                std::span<const DeviceOperand> outputs);

  bool empty() const { return plan_.segments.empty(); }
  size_t segments() const { return plan_.segments.size(); }
  // Places the tensors.
  DevicePlan finish();

 private:
  void touch(int tensor);

  DevicePlan plan_;
  int calls_ = 0;  // made so far
  int segment_begin_ = 0;
  std::unordered_map<const void*, int> plain_;  // constants by Tensor::identity
};

// Notes which externals of a plan the segments' steps use, and which nobody else does.
void find_device_uses(Instance& plan, std::span<const int> steps, const void* device);

}  // namespace fastort
