#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "plan/device.h"
#include "providers/vulkan/memory.h"

namespace fastort::vulkan {

// Constants on the device: equal contents in the same form are uploaded once, whichever session or plan brings them,
// and freed with the last plan that reads them.
class Weights {
 public:
  explicit Weights(Device& device) : device_(device) {}
  std::shared_ptr<Memory> get(const DeviceConstant& constant);

 private:
  struct Known {
    std::weak_ptr<Buffer> buffer;
    size_t bytes = 0;
    std::string digest;
  };
  // Reads the contents once for as long as their buffer lives.
  const std::string& digest_of(const Tensor& source);
  std::shared_ptr<Memory> upload(const GpuConstant& constant);

  Device& device_;
  std::mutex mutex_;
  std::map<const void*, Known> digests_;  // by Tensor::identity
  std::map<std::string, std::weak_ptr<Memory>> entries_;
};

}  // namespace fastort::vulkan
