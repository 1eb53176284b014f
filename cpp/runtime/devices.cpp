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
    devices.push_back({std::move(device.name), device.is_cpu, std::move(device.refusal)});
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

#endif

}  // namespace fastort
