#include "runtime/devices.h"

#include "base/error.h"
#include "base/fork.h"
#ifndef FASTORT_NO_VULKAN
#include "providers/vulkan/provider.h"
#endif

namespace fastort {

#ifdef FASTORT_NO_VULKAN

namespace {
constexpr const char* kMissing = "this build of fastort has no Vulkan (FASTORT_VULKAN is OFF)";
}

std::shared_ptr<const DeviceProvider> open_device(
    const std::vector<std::pair<std::string, ProviderOptions>>& providers) {
  if (!providers.empty() && providers.front().first == "VulkanExecutionProvider") fail(ErrorCode::Fail, kMissing);
  return nullptr;
}

std::vector<VulkanDevice> vulkan_devices() { fail(ErrorCode::Fail, kMissing); }
std::string vulkan_refusal(const ProviderOptions&) { return kMissing; }
std::shared_ptr<DeviceBuffer> allocate_on_device(int, size_t) { fail(ErrorCode::Fail, kMissing); }
std::shared_ptr<DeviceBuffer> share_on_device(int, size_t, int) { fail(ErrorCode::Fail, kMissing); }
std::shared_ptr<DeviceBuffer> find_on_device(int, uint64_t, size_t) { fail(ErrorCode::Fail, kMissing); }
std::shared_ptr<DeviceBuffer> request_on_device(int) { fail(ErrorCode::Fail, kMissing); }
DeviceMemory device_memory() { return {}; }

#else

std::shared_ptr<const DeviceProvider> open_device(
    const std::vector<std::pair<std::string, ProviderOptions>>& providers) {
  if (providers.empty() || providers.front().first != "VulkanExecutionProvider") return nullptr;
  return vulkan::make_provider(providers.front().second);
}

std::vector<VulkanDevice> vulkan_devices() {
  const ForkGuard guard;
  std::vector<VulkanDevice> devices;
  for (auto& device : vulkan::list_devices())
    devices.push_back({std::move(device.name), std::move(device.kind), device.vendor_id, device.product_id,
                       std::move(device.vulkan_version), device.is_cpu, std::move(device.refusal),
                       device.reads_host_memory, std::move(device.traits)});
  return devices;
}

std::string vulkan_refusal(const ProviderOptions& options) {
  const ForkGuard guard;
  try {
    vulkan::check_options(options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Fail) throw;
    return error.what();
  }
  return {};
}

std::shared_ptr<DeviceBuffer> allocate_on_device(int id, size_t bytes) {
  const ForkGuard guard;
  return vulkan::allocate_value(id, bytes);
}

std::shared_ptr<DeviceBuffer> share_on_device(int id, size_t bytes, int fd) {
  const ForkGuard guard;
  return vulkan::share_value(id, bytes, fd);
}

std::shared_ptr<DeviceBuffer> find_on_device(int id, uint64_t address, size_t bytes) {
  const ForkGuard guard;
  if (auto buffer = vulkan::find_value(id, address, bytes)) return buffer;
  invalid_argument("there are no " + std::to_string(bytes) + " bytes at the address " + std::to_string(address) +
                   " of the device 'vulkan:" + std::to_string(id) +
                   "': an address is OrtValue.data_ptr() of a living value on that device");
}

std::shared_ptr<DeviceBuffer> request_on_device(int id) {
  const ForkGuard guard;
  return vulkan::request_value(id);
}

DeviceMemory device_memory() {
  const ForkGuard guard;
  return vulkan::open_device_memory();
}

#endif

}  // namespace fastort
