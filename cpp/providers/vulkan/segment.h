#pragma once

#include <memory>
#include <vector>

#include "providers/vulkan/commands.h"
#include "providers/vulkan/compiled_plan.h"
#include "providers/vulkan/host_import.h"

namespace fastort::vulkan {

// What one run in flight owns: the recorded commands and the table of addresses that they read. The commands know
// nothing of the memory, so that another arena, staging or bound value only rewrites the table.
class RunState final : public DeviceState {
 public:
  explicit RunState(std::shared_ptr<const CompiledPlan> plan);
  ~RunState() override;

  void bind(size_t segment, size_t operand, bool output, DeviceBuffer* buffer, const std::byte* lasting) override;
  void measure(bool on) override;
  void end() noexcept override;
  std::shared_ptr<DeviceBuffer> allocate(size_t bytes) const override;
  std::vector<DeviceTime> times() const override { return times_; }
  // Runs segment `index`; the pointers are those of the segment's step.
  void run(size_t index, const KernelArgs& args);

 private:
  // A segment's commands: those that compute, in parts that are submitted one after the other, and the copies from and
  // to the staging memory.
  struct Recorded {
    std::unique_ptr<Commands> parts;
    std::vector<double> work;            // of each part
    std::unique_ptr<Timestamps> stamps;  // while runs are measured
    double rate = 0;                     // operations a second that it was cut for
    std::unique_ptr<Commands> copies;
    std::vector<int> uploads, downloads;  // tensors that the copies are for
  };

  void record(size_t index);
  void record_part(VkCommandBuffer commands, const CompiledPlan::Segment& segment,
                   std::span<const CompiledPlan::Slice> slices, Timestamps* stamps);
  bool record_copies(Recorded& recorded, size_t number, std::vector<int>& of,
                     const std::vector<CompiledPlan::Copy>& copies);
  void submit(size_t index, const Parallel& parallel);
  void prepare_memory();
  void check_report() const;
  void write_table();
  bool direct(int tensor) const { return direct_[static_cast<size_t>(tensor)]; }
  uint64_t tensor_address(int tensor) const { return addresses_[static_cast<size_t>(tensor)]; }
  // Where the host finds a tensor that is copied.
  std::byte* host(const CompiledPlan::Copy& copy, const std::shared_ptr<Memory>& staging) const;

  std::shared_ptr<const CompiledPlan> plan_;
  std::vector<Recorded> recorded_;
  std::vector<DeviceBuffer*> bound_;       // by tensor, for this run; nullptr for the host's memory
  std::vector<const std::byte*> lasting_;  // by tensor: inputs of the host that stay as they are during this run
  std::vector<std::unique_ptr<HostImport>> imports_;
  std::vector<bool> written_;  // the bound ones that the run writes
  std::vector<bool> direct_;   // whether the shaders use the bound memory itself
  std::vector<uint64_t> addresses_, table_addresses_;
  bool measured_ = false;
  std::vector<DeviceTime> times_;
  std::shared_ptr<Memory> table_;
  std::shared_ptr<Memory> arena_, upload_, readback_;
};

// The kernels of a plan's segments.
std::vector<std::unique_ptr<Kernel>> segment_kernels(std::shared_ptr<const CompiledPlan> plan);

}  // namespace fastort::vulkan
