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
  bool is_cpu = false;
  std::string refusal;
};
std::vector<DeviceSummary> list_devices();

// Throws Error with the reasons where no device serves the options.
void check_options(const std::map<std::string, std::string>& options);

// Pieces of device memory in use by this process, for tests of leaks.
size_t live_allocations(const DeviceProvider& provider);

}  // namespace fastort::vulkan
