#pragma once

#include <memory>
#include <span>
#include <vector>

#include "plan/device.h"
#include "plan/instance.h"

namespace fastort {

// Told about every step of a run, for profiles.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void begin(const Instance& plan, const Step& step) = 0;
  virtual void end(const Instance& plan, const Step& step) = 0;
  // What the device took for the nodes of the step that ended just now.
  virtual void device_times(const Instance&, std::span<const DeviceTime>) {}
  // The step that began last runs a body, whose steps follow until it is left.
  virtual void enter(const Graph& body) = 0;
  virtual void leave() noexcept = 0;
};

// Names the observer of the run that goes on in this thread, for the bodies that kernels run.
class ObserverScope {
 public:
  explicit ObserverScope(StepObserver* observer) noexcept;
  ~ObserverScope();
  ObserverScope(const ObserverScope&) = delete;
  ObserverScope& operator=(const ObserverScope&) = delete;
  static StepObserver* current() noexcept;

 private:
  StepObserver* before_;
};

// What one run in flight needs of a plan: the pointer table and the kernels' states. Used by one run at a time.
class CpuContext {
 public:
  CpuContext(std::shared_ptr<const Instance> plan, const Graph& graph);

  const Instance& plan() const { return *plan_; }

  // Runs the plan's steps. `values` holds what was fed or made so far, by value id; what the plan makes for others is
  // put there. A tensor that already stands in a place of the plan's type and shape is written into.
  void run(std::span<Value> values, std::byte* arena, const Parallel& parallel, StepObserver* observer);

 private:
  struct Patch {
    uint32_t pointer;
    uint32_t external;
    int64_t offset;
  };
  class StepFrame;

  void bind_arena(std::byte* arena);
  void bind_externals(std::span<Value> values);
  // The memory of an input that nothing writes during the run; nullptr where that is not sure.
  const std::byte* lasting_input(size_t external) const;
  DeviceState& device_state() const;
  // The device memory that an external is to be, where that can be so; otherwise the value becomes one of the host.
  DeviceBuffer* bind_device(const External& external, Value& value) const;
  [[noreturn]] void fail_step(const Step& step, ErrorCode code, const char* what) const;

  std::shared_ptr<const Instance> plan_;
  const Graph& graph_;
  std::byte* arena_ = nullptr;
  std::vector<std::byte*> pointers_;
  std::vector<Patch> patches_;
  std::vector<std::byte*> externals_;
  std::vector<DeviceBuffer*> device_externals_;  // nullptr for memory of the host
  std::vector<std::unique_ptr<KernelState>> states_;
};

// A tensor whose memory comes from the recycling pool.
Tensor pooled_tensor(DataType type, const Shape& shape);

}  // namespace fastort
