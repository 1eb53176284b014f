#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "plan/device.h"

// The providers beside the CPU that this build has.
namespace fastort {

using ProviderOptions = std::map<std::string, std::string>;

// The first provider of the list that is not the CPU, or nullptr where that comes first. Throws Error where it does not
// serve.
std::shared_ptr<const DeviceProvider> open_device(
    const std::vector<std::pair<std::string, ProviderOptions>>& providers);

// A device of the machine that VulkanExecutionProvider could run on.
struct VulkanDevice {
  std::string name;
  std::string kind;        // "discrete", "integrated", "virtual", "cpu", "other"
  uint32_t vendor_id = 0;  // PCI's number, or one that Khronos gave out
  uint32_t product_id = 0;
  std::string vulkan_version;
  bool is_cpu = false;
  std::string refusal;             // empty where it serves
  bool reads_host_memory = false;  // aligned inputs are not copied
  GpuTraits traits;
};
// Throws Error with the reason where there is no Vulkan.
std::vector<VulkanDevice> vulkan_devices();
// Why VulkanExecutionProvider does not serve with these options; empty where it does. An option that there is not is an
// Error.
std::string vulkan_refusal(const ProviderOptions& options);

// Memory on a device that a program names, "vulkan" and a number; throws Error with the reason where it does not serve.
std::shared_ptr<DeviceBuffer> allocate_on_device(int id, size_t bytes);
// The same as memory that others can open by a file descriptor (`fd` -1), or that others made so.
std::shared_ptr<DeviceBuffer> share_on_device(int id, size_t bytes, int fd);
// The bytes at an address in memory that such a call returned; throws Error where they are in none.
std::shared_ptr<DeviceBuffer> find_on_device(int id, uint64_t address, size_t bytes);
// See DeviceBuffer::is_request().
std::shared_ptr<DeviceBuffer> request_on_device(int id);
// Of all devices that the process has open.
DeviceMemory device_memory();

}  // namespace fastort
