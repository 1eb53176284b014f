#pragma once

#include <memory>
#include <vector>

#include "plan/device.h"
#include "providers/vulkan/commands.h"
#include "providers/vulkan/device.h"

namespace fastort::vulkan {

// A plan's part on the device, made ready: immutable, shared by the contexts that run it.
class CompiledPlan {
 public:
  CompiledPlan(std::shared_ptr<Device> device, DevicePlan plan, bool always_stage);

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
  };
  struct Segment {
    std::vector<Copy> uploads, downloads;
    std::vector<Call> calls;
    size_t upload_bytes = 0, download_bytes = 0;
  };

  Device& device() const { return *device_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<DeviceTensor>& tensors() const { return tensors_; }
  size_t arena_bytes() const { return arena_bytes_; }
  const Memory& constant(int i) const { return *constants_[static_cast<size_t>(i)]; }
  // Whether host and device exchange data through staging memory and a shader that copies.
  bool staged() const { return staged_; }
  VkPipeline copy() const { return copy_; }
  uint32_t table_entries() const { return entries_; }
  // The node whose dispatch has this first entry of the table.
  std::string label_of(uint32_t first) const;

 private:
  std::shared_ptr<Device> device_;
  std::vector<DeviceTensor> tensors_;
  size_t arena_bytes_ = 0;
  std::vector<std::shared_ptr<Memory>> constants_;
  std::vector<Segment> segments_;
  std::map<int, std::string> labels_;
  uint32_t entries_ = 1;  // the first one is where shaders report data that makes no sense
  VkPipeline copy_ = VK_NULL_HANDLE;
  bool staged_ = false;
};

// What one run in flight owns: the recorded commands and the table of addresses that they read. The commands know
// nothing of the memory, so that another arena or another staging only rewrites the table.
class RunState final : public KernelState {
 public:
  explicit RunState(std::shared_ptr<const CompiledPlan> plan);
  ~RunState() override;

  // Runs segment `index`; the pointers are those of the segment's step.
  void run(size_t index, const KernelArgs& args);

 private:
  void record(size_t index);
  void record_copies(VkCommandBuffer commands, const std::vector<CompiledPlan::Copy>& copies);
  void bind_arena();
  void check_report() const;
  void write_table();
  uint64_t tensor_address(int tensor) const;

  std::shared_ptr<const CompiledPlan> plan_;
  Commands commands_;
  std::vector<bool> recorded_;
  std::shared_ptr<Memory> table_;
  std::shared_ptr<Memory> arena_, upload_, readback_;
};

// The kernels of a plan's segments.
std::vector<std::unique_ptr<Kernel>> segment_kernels(std::shared_ptr<const CompiledPlan> plan);

}  // namespace fastort::vulkan
