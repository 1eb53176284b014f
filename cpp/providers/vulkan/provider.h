#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plan/device.h"

namespace fastort::vulkan {

// The provider for a device that the options ask for; throws Error with the reasons where none serves. Nothing in this
// header names Vulkan's own types.
std::shared_ptr<const DeviceProvider> make_provider(const std::map<std::string, std::string>& options);

// The machine's devices by number, with the reason where one does not serve ("" where it does). Throws Error where
// there is no Vulkan.
struct DeviceSummary {
  std::string name;
  std::string kind;        // "discrete", "integrated", "virtual", "cpu", "other"
  uint32_t vendor_id = 0;  // PCI's number, or one that Khronos gave out
  uint32_t product_id = 0;
  std::string vulkan_version;
  bool is_cpu = false;
  std::string refusal;
  bool reads_host_memory = false;
  GpuTraits traits;
};
std::vector<DeviceSummary> list_devices();

// Throws Error with the reasons where no device serves the options.
void check_options(const std::map<std::string, std::string>& options);

// Memory for a value that stays on a device, by the device's number; Error with the reason where that does not serve.
std::shared_ptr<DeviceBuffer> allocate_value(int device, size_t bytes);
// The same as memory that others can open, or that others share by a file descriptor.
std::shared_ptr<DeviceBuffer> share_value(int device, size_t bytes, int fd);
// The bytes at an address in the memory of such a value; nullptr where they are in none.
std::shared_ptr<DeviceBuffer> find_value(int device, uint64_t address, size_t bytes);
// See DeviceBuffer::is_request().
std::shared_ptr<DeviceBuffer> request_value(int device);
// Of all devices that the process has open.
DeviceMemory open_device_memory();

}  // namespace fastort::vulkan
