#pragma once

#include <memory>
#include <vector>

#include "plan/device.h"
#include "providers/vulkan/device.h"

namespace fastort::vulkan {

class Pipelines;

// A plan's part on the device, made ready: immutable, shared by the contexts that run it.
class CompiledPlan {
 public:
  CompiledPlan(std::shared_ptr<Device> device, DevicePlan plan, const Options& options);

  struct Copy {
    int tensor = 0;
    size_t staged = 0;  // offset in the staging
    size_t bytes = 0;
    uint32_t first = 0;  // entry of the table
  };
  struct Call {
    int node = -1;
    VkPipeline pipeline = VK_NULL_HANDLE;
    uint32_t first = 0;  // entry of the table
    std::vector<DeviceOperand> operands;
    std::vector<uint32_t> push;
    std::array<uint32_t, 3> groups{};
    double work = 0;  // about as many operations
  };
  struct Segment {
    std::vector<Copy> uploads, downloads;
    std::vector<Call> calls;
    size_t upload_bytes = 0, download_bytes = 0;
  };
  // Some of the work groups of a call: `count` from `begin` on along one axis, all along the others.
  struct Slice {
    size_t call = 0;
    size_t axis = 0;
    uint32_t begin = 0, count = 0;
  };

  Device& device() const { return *device_; }
  const std::shared_ptr<Device>& shared_device() const { return device_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<DeviceTensor>& tensors() const { return tensors_; }
  size_t arena_bytes() const { return arena_bytes_; }
  const Memory& constant(int i) const { return *constants_[static_cast<size_t>(i)]; }
  // Whether host and device exchange data through staging memory and a shader that copies.
  bool staged() const { return staged_; }
  bool profile() const { return profile_; }
  VkPipeline copy() const { return copy_; }
  VkPipelineLayout layout() const { return layout_; }
  uint32_t table_entries() const { return entries_; }
  // The node whose dispatch has this first entry of the table.
  std::string label_of(uint32_t first) const;
  // A segment in parts of about `work` operations each.
  std::vector<std::vector<Slice>> cut(const Segment& segment, double work) const;

 private:
  double work_of(const DeviceCall& call) const;

  std::shared_ptr<Device> device_;
  std::vector<DeviceTensor> tensors_;
  size_t arena_bytes_ = 0;
  std::vector<std::shared_ptr<Memory>> constants_;
  std::vector<Segment> segments_;
  std::map<int, std::string> labels_;
  uint32_t entries_ = 1;  // the first one is where shaders report data that makes no sense
  VkPipeline copy_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  bool staged_ = false;
  bool profile_ = false;
};

}  // namespace fastort::vulkan
