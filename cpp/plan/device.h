#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops/gpu.h"
#include "tensor/device_buffer.h"

// What the planner hands to a provider that runs nodes in memory of its own.
namespace fastort {

// Memory that a call reads or writes: a tensor in the device's arena, or a constant.
struct DeviceOperand {
  enum class Kind : uint8_t { None, Tensor, Constant };
  Kind kind = Kind::None;
  int index = 0;
  bool written = false;
};

// One dispatch with its operands resolved.
struct DeviceCall {
  int node = -1;  // of the graph
  std::string shader;
  std::vector<uint32_t> constants;
  std::vector<DeviceOperand> operands;
  GpuPush push;
  std::array<uint32_t, 3> groups{1, 1, 1};
  double flops = 0;
};

// A piece of the device's arena.
struct DeviceTensor {
  size_t bytes = 0;
  int first = 0, last = 0;  // calls between which it is in use, counted through all segments
  int64_t offset = -1;
};

// Calls that follow one another without the host. Uploads come from the inputs of the segment's step, in order;
// downloads go to its outputs.
struct DeviceSegment {
  std::vector<int> uploads;  // tensors
  std::vector<int> downloads;
  std::vector<DeviceCall> calls;
};

// A constant keeps its source alive until it lies on the device.
struct DeviceConstant {
  GpuConstant constant;
  std::shared_ptr<Tensor> source;
};

struct DevicePlan {
  std::map<int, std::string> labels;  // of the nodes, for messages
  std::vector<DeviceTensor> tensors;
  size_t arena_bytes = 0;
  std::vector<DeviceConstant> constants;
  std::vector<DeviceSegment> segments;
};

// How long the device worked on a node of a segment.
struct DeviceTime {
  int node = -1;
  int64_t begin_ns = 0, duration_ns = 0;
};

// What the kernels of a plan's segments share in a run.
class DeviceState : public KernelState {
 public:
  // For the next run, the memory behind a segment's input or output; nullptr for the host's, whose pointer the
  // segment's step has. `lasting`: that pointer, where the memory is an input that nothing writes until the run is
  // over; otherwise nullptr. Called for every such operand that enters or leaves the plan, before the first segment
  // runs.
  virtual void bind(size_t segment, size_t operand, bool output, DeviceBuffer* buffer, const std::byte* lasting) = 0;
  // Whether the next runs note how long the device takes for each node.
  virtual void measure(bool on) = 0;
  // The run is over, whether it ended well or not: nothing reads what was bound.
  virtual void end() noexcept = 0;
  // Memory for a value that stays on the device.
  virtual std::shared_ptr<DeviceBuffer> allocate(size_t bytes) const = 0;
  // What the segment that ran last took, since it began; nothing where that was not measured.
  virtual std::vector<DeviceTime> times() const = 0;
};

// Memory of a device that is held for sessions and values, in bytes.
struct DeviceMemory {
  size_t held = 0;    // taken from the driver
  size_t used = 0;    // of it by weights, values, arenas and staging memory
  size_t pieces = 0;  // that these are
  size_t copied = 0;  // between host and device, since it was opened
};

class DeviceTuner;

// A provider beside the CPU.
class DeviceProvider {
 public:
  virtual ~DeviceProvider() = default;
  virtual std::string_view name() const = 0;
  virtual const GpuTraits& traits() const = 0;
  // Chooses among ways to run nodes by measured times; nullptr where the rule decides.
  virtual DeviceTuner* tuner() const { return nullptr; }
  // Whether float32 models keep their weights and intermediates as float16.
  virtual bool half_storage() const = 0;
  virtual bool has_shader(std::string_view name) const = 0;
  // Whether a node that could run on the CPU alone is an error.
  virtual bool strict() const = 0;
  // One kernel for each segment. They share one state, which the first one makes.
  virtual std::vector<std::unique_ptr<Kernel>> compile(DevicePlan plan) const = 0;
  // See DeviceBuffer::device().
  virtual const void* device() const = 0;
  virtual DeviceMemory memory() const = 0;
  // Frees what is idle; returns the bytes freed.
  virtual size_t trim() const = 0;
};

}  // namespace fastort
