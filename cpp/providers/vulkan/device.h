#pragma once

#include <sys/types.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/parallel.h"
#include "providers/vulkan/instance.h"
#include "providers/vulkan/memory.h"

namespace fastort::vulkan {

class Pipelines;
class ValueTable;
class Weights;

// A logical device with its queue, memory, pipelines and weights: shared by all sessions that run on it.
class Device {
 public:
  // Throws Error(Fail) with the reasons where no device serves the options.
  static std::shared_ptr<Device> open(const Options& options);
  static std::vector<std::shared_ptr<Device>> all_open();
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Instance& instance() const { return *instance_; }
  const DeviceInfo& info() const { return info_; }
  const DeviceApi& api() const { return api_; }
  VkDevice handle() const { return handle_; }

  Allocator& memory() { return *memory_; }
  MemoryPool& arenas() { return *arenas_; }
  MemoryPool& uploads() { return *uploads_; }
  MemoryPool& readbacks() { return *readbacks_; }
  // Those kept in a folder (see Options::cache_dir).
  Pipelines& pipelines(const std::string& cache_dir);
  ValueTable& values() { return *values_; }
  Weights& weights() { return *weights_; }

  // Runs recorded command buffers, as one submission, and waits for it. Throws Error(EPFail) where the device is lost
  // or does not answer, Error(Fail) in a forked child. A cancelled run waits too: the device cannot be stopped.
  void run(std::span<const VkCommandBuffer> commands);
  // Operations a second, by CompiledPlan's count: what submissions took lately, or a low guess.
  double rate() const { return rate_.load(std::memory_order_relaxed); }
  void note_rate(double work, double seconds);
  // Throws Error(EPFail) that names the call, unless the result is a success.
  void check(VkResult result, const char* call) const;
  // False in a child that was forked since: the handles of the parent mean nothing there.
  bool in_process() const;
  bool lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  Device(std::shared_ptr<Instance> instance, const DeviceInfo& info);

  std::shared_ptr<Instance> instance_;
  DeviceInfo info_;
  DeviceApi api_;
  VkDevice handle_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  VkSemaphore timeline_ = VK_NULL_HANDLE;
  std::mutex submitting_;
  uint64_t submitted_ = 0;
  mutable std::atomic<bool> lost_{false};
  pid_t process_;
  std::unique_ptr<Allocator> memory_;
  std::unique_ptr<MemoryPool> arenas_, uploads_, readbacks_;
  std::mutex pipelines_mutex_;
  std::map<std::string, std::unique_ptr<Pipelines>> pipelines_;  // by folder
  std::unique_ptr<ValueTable> values_;
  std::atomic<double> rate_;
  std::unique_ptr<Weights> weights_;
};

}  // namespace fastort::vulkan
