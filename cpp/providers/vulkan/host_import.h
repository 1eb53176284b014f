#pragma once

#include <cstddef>
#include <memory>

#include "providers/vulkan/api.h"

namespace fastort::vulkan {

class Device;

// Memory of the host that shaders read where it lies. Whoever made it keeps the memory as it is, and alive, until this
// is gone.
class HostImport {
 public:
  // What is smaller is copied faster than it is imported.
  static constexpr size_t kMinBytes = size_t{1} << 20;

  // nullptr where the driver does not take the memory, whatever the reason.
  static std::unique_ptr<HostImport> make(Device& device, const std::byte* data, size_t bytes);
  ~HostImport();
  HostImport(const HostImport&) = delete;
  HostImport& operator=(const HostImport&) = delete;

  uint64_t address() const { return address_; }

 private:
  explicit HostImport(Device& device) : device_(device) {}
  bool open(std::byte* begin, size_t bytes);

  Device& device_;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  uint64_t address_ = 0;
};

}  // namespace fastort::vulkan
