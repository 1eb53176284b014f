#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "plan/device.h"
#include "providers/vulkan/memory.h"

namespace fastort::vulkan {

// Constants on the device: the same tensor in the same form is uploaded once, and freed with the last plan that reads
// it.
class Weights {
 public:
  explicit Weights(Device& device) : device_(device) {}
  std::shared_ptr<Memory> get(const DeviceConstant& constant);

 private:
  struct Entry {
    std::weak_ptr<Buffer> source;
    std::weak_ptr<Memory> memory;
  };
  std::shared_ptr<Memory> upload(const GpuConstant& constant);

  Device& device_;
  std::mutex mutex_;
  std::map<std::pair<const std::byte*, std::string>, Entry> entries_;
};

}  // namespace fastort::vulkan
