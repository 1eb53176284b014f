#include "providers/vulkan/api.h"

#include <dlfcn.h>

#include <mutex>

namespace fastort::vulkan {

const GlobalApi* open_library(std::string& reason) {
  static std::mutex mutex;
  static GlobalApi api;
  static std::string missing;
  static bool tried = false;
  std::lock_guard lock(mutex);
  if (!tried) {
    tried = true;
    // Never closed: drivers leave threads and handlers behind.
    void* library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen("libvulkan.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      missing = "libvulkan.so.1 cannot be opened; install the Vulkan loader (Debian: libvulkan1) and a driver";
    } else {
      api.vkGetInstanceProcAddr = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
      if (api.vkGetInstanceProcAddr) {
#define FASTORT_VK_LOAD(name) api.name = reinterpret_cast<PFN_##name>(api.vkGetInstanceProcAddr(nullptr, #name));
        FASTORT_VK_GLOBAL(FASTORT_VK_LOAD)
#undef FASTORT_VK_LOAD
      }
      if (!api.vkCreateInstance || !api.vkEnumerateInstanceVersion) missing = "libvulkan is older than Vulkan 1.2";
    }
  }
  reason = missing;
  return missing.empty() ? &api : nullptr;
}

InstanceApi load_instance(const GlobalApi& global, VkInstance instance) {
  InstanceApi api;
#define FASTORT_VK_LOAD(name) api.name = reinterpret_cast<PFN_##name>(global.vkGetInstanceProcAddr(instance, #name));
  FASTORT_VK_INSTANCE(FASTORT_VK_LOAD)
  FASTORT_VK_INSTANCE_EXTENSIONS(FASTORT_VK_LOAD)
#undef FASTORT_VK_LOAD
  return api;
}

DeviceApi load_device(const InstanceApi& instance, VkDevice device) {
  DeviceApi api;
#define FASTORT_VK_LOAD(name) api.name = reinterpret_cast<PFN_##name>(instance.vkGetDeviceProcAddr(device, #name));
  FASTORT_VK_DEVICE(FASTORT_VK_LOAD)
  FASTORT_VK_EXTENSIONS(FASTORT_VK_LOAD)
#undef FASTORT_VK_LOAD
  return api;
}

std::string result_name(VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED:
      return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST:
      return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_TIMEOUT:
      return "VK_TIMEOUT";
    default:
      return "VkResult " + std::to_string(static_cast<int>(result));
  }
}

}  // namespace fastort::vulkan
