#pragma once

#include <string>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

// The functions of libvulkan, which is opened at run time: fastort is not linked with it.
namespace fastort::vulkan {

#define FASTORT_VK_GLOBAL(X)    \
  X(vkCreateInstance)           \
  X(vkEnumerateInstanceVersion) \
  X(vkEnumerateInstanceLayerProperties)

#define FASTORT_VK_INSTANCE(X)                \
  X(vkDestroyInstance)                        \
  X(vkEnumeratePhysicalDevices)               \
  X(vkEnumerateDeviceExtensionProperties)     \
  X(vkGetPhysicalDeviceProperties)            \
  X(vkGetPhysicalDeviceProperties2)           \
  X(vkGetPhysicalDeviceFeatures2)             \
  X(vkGetPhysicalDeviceMemoryProperties)      \
  X(vkGetPhysicalDeviceQueueFamilyProperties) \
  X(vkCreateDevice)                           \
  X(vkGetDeviceProcAddr)

// Of extensions: nullptr where no driver has them.
#define FASTORT_VK_INSTANCE_EXTENSIONS(X) X(vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)

#define FASTORT_VK_DEVICE(X)       \
  X(vkDestroyDevice)               \
  X(vkGetDeviceQueue)              \
  X(vkQueueSubmit)                 \
  X(vkDeviceWaitIdle)              \
  X(vkAllocateMemory)              \
  X(vkFreeMemory)                  \
  X(vkMapMemory)                   \
  X(vkCreateBuffer)                \
  X(vkDestroyBuffer)               \
  X(vkGetBufferMemoryRequirements) \
  X(vkBindBufferMemory)            \
  X(vkGetBufferDeviceAddress)      \
  X(vkCreateShaderModule)          \
  X(vkDestroyShaderModule)         \
  X(vkCreatePipelineLayout)        \
  X(vkDestroyPipelineLayout)       \
  X(vkCreatePipelineCache)         \
  X(vkDestroyPipelineCache)        \
  X(vkGetPipelineCacheData)        \
  X(vkCreateComputePipelines)      \
  X(vkDestroyPipeline)             \
  X(vkCreateCommandPool)           \
  X(vkDestroyCommandPool)          \
  X(vkAllocateCommandBuffers)      \
  X(vkBeginCommandBuffer)          \
  X(vkEndCommandBuffer)            \
  X(vkCmdBindPipeline)             \
  X(vkCmdPushConstants)            \
  X(vkCmdDispatch)                 \
  X(vkCmdDispatchBase)             \
  X(vkCmdCopyBuffer)               \
  X(vkCmdPipelineBarrier)          \
  X(vkCreateQueryPool)             \
  X(vkDestroyQueryPool)            \
  X(vkCmdResetQueryPool)           \
  X(vkCmdWriteTimestamp)           \
  X(vkGetQueryPoolResults)         \
  X(vkCreateSemaphore)             \
  X(vkDestroySemaphore)            \
  X(vkWaitSemaphores)

// Of extensions: nullptr where the device was opened without them.
#define FASTORT_VK_EXTENSIONS(X) X(vkGetMemoryFdKHR) X(vkGetMemoryHostPointerPropertiesEXT)

#define FASTORT_VK_MEMBER(name) PFN_##name name = nullptr;

struct GlobalApi {
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
  FASTORT_VK_GLOBAL(FASTORT_VK_MEMBER)
};
struct InstanceApi {
  FASTORT_VK_INSTANCE(FASTORT_VK_MEMBER)
  FASTORT_VK_INSTANCE_EXTENSIONS(FASTORT_VK_MEMBER)
};
struct DeviceApi {
  FASTORT_VK_DEVICE(FASTORT_VK_MEMBER)
  FASTORT_VK_EXTENSIONS(FASTORT_VK_MEMBER)
};

// Opens libvulkan once per process. `reason` says why there is none where the result is nullptr.
const GlobalApi* open_library(std::string& reason);
InstanceApi load_instance(const GlobalApi& api, VkInstance instance);
DeviceApi load_device(const InstanceApi& api, VkDevice device);

// "VK_ERROR_DEVICE_LOST" and so on.
std::string result_name(VkResult result);

}  // namespace fastort::vulkan
