#include "providers/vulkan/instance.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "base/error.h"
#include "providers/vulkan/matrices.h"

namespace fastort::vulkan {
namespace {

bool read_flag(const std::string& key, const std::string& value) {
  if (value == "1" || value == "true" || value == "True") return true;
  if (value == "0" || value == "false" || value == "False") return false;
  invalid_argument("VulkanExecutionProvider: the option '" + key + "' is 0 or 1, not '" + value + "'");
}

Half read_half(const std::string& value) {
  if (value == "off" || value == "0" || value.empty()) return Half::Off;
  if (value == "storage" || value == "1") return Half::Storage;
  if (value == "arithmetic") return Half::Arithmetic;
  invalid_argument("VulkanExecutionProvider: enable_fp16 is 'off', 'storage' or 'arithmetic', not '" + value + "'");
}

int read_number(const std::string& key, const std::string& value) {
  char* end = nullptr;
  const long number = std::strtol(value.c_str(), &end, 10);
  if (value.empty() || *end || number < 0 || number > 1024)
    invalid_argument("VulkanExecutionProvider: the option '" + key + "' is a number of a device, not '" + value + "'");
  return static_cast<int>(number);
}

Tune read_tune(const std::string& value) {
  if (value == "off") return Tune::Off;
  if (value == "stored") return Tune::Stored;
  if (value == "measure") return Tune::Measure;
  invalid_argument("VulkanExecutionProvider: tune is 'off', 'stored' or 'measure', not '" + value + "'");
}

double read_seconds(const std::string& key, const std::string& value) {
  char* end = nullptr;
  const double seconds = std::strtod(value.c_str(), &end);
  if (value.empty() || *end || !(seconds >= 0 && seconds <= 86400))
    invalid_argument("VulkanExecutionProvider: the option '" + key + "' is a number of seconds, not '" + value + "'");
  return seconds;
}

// Larger is better.
int rank_of(const DeviceInfo& device) {
  switch (device.properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return 4;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return 3;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return 0;
    default:
      return 1;
  }
}

// Whether all memory of the device can be written by the host.
bool shares_memory(const VkPhysicalDeviceMemoryProperties& memory) {
  constexpr VkMemoryPropertyFlags kBoth = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
    const VkMemoryPropertyFlags flags = memory.memoryTypes[i].propertyFlags;
    if (flags & VK_MEMORY_PROPERTY_PROTECTED_BIT) continue;
    if ((flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) && (flags & kBoth) != kBoth) return false;
  }
  return true;
}

}  // namespace

Options Options::parse(const std::map<std::string, std::string>& entries) {
  Options options;
  for (const auto& [key, value] : entries) {
    if (key == "device_id") {
      options.device_id = read_number(key, value);
    } else if (key == "device_name") {
      options.device_name = value;
    } else if (key == "allow_cpu") {
      options.allow_cpu = read_flag(key, value);
    } else if (key == "strict_placement") {
      options.strict_placement = read_flag(key, value);
    } else if (key == "always_stage") {
      options.always_stage = read_flag(key, value);
    } else if (key == "tiles") {
      options.tiles = read_flag(key, value);
    } else if (key == "kernels") {
      GpuTraits checked;
      apply_kernels(value, checked);
      options.kernels = value;
    } else if (key == "profile") {
      options.profile = read_flag(key, value);
    } else if (key == "cache_dir") {
      options.cache_dir = value;
    } else if (key == "enable_fp16") {
      options.half = read_half(value);
    } else if (key == "tune") {
      options.tune = read_tune(value);
    } else if (key == "tune_seconds") {
      options.tune_seconds = read_seconds(key, value);
    } else {
      invalid_argument("VulkanExecutionProvider has no option '" + key +
                       "'; it has device_id, device_name, allow_cpu, strict_placement, always_stage, tiles, kernels, "
                       "profile, cache_dir, enable_fp16, tune and tune_seconds");
    }
  }
  if (const char* name = std::getenv("FASTORT_VULKAN_DEVICE"); name && options.device_name.empty())
    options.device_name = name;
  return options;
}

void apply_kernels(const std::string& kernels, GpuTraits& traits) {
  for (size_t begin = 0; begin < kernels.size();) {
    const size_t end = std::min(kernels.find('+', begin), kernels.size());
    const std::string word = kernels.substr(begin, end - begin);
    begin = end + 1;
    if (word == "direct") {
      traits.slow_shared = true;
      traits.few_rows = GpuTraits::Choice::Never;
    } else if (word == "tiles") {
      traits.slow_shared = false;
      traits.matrices.clear();
      traits.few_rows = GpuTraits::Choice::Never;
    } else if (word == "matrices") {
      traits.slow_shared = false;
      traits.few_rows = GpuTraits::Choice::Never;
    } else if (word == "khr") {
      traits.matrix_elements = false;
    } else if (word == "rows") {
      traits.few_rows = GpuTraits::Choice::Always;
    } else if (word.starts_with("split") && word.size() > 5 &&
               word.find_first_not_of("0123456789", 5) == std::string::npos && word.size() < 8) {
      traits.parts = std::stoi(word.substr(5));
    } else if (word == "winograd" || word == "no-winograd") {
      traits.winograd = word == "winograd" ? GpuTraits::Choice::Always : GpuTraits::Choice::Never;
    } else if (word == "large" || word == "medium" || word == "small") {
      traits.tile = word == "large" ? 0 : word == "medium" ? 1 : 2;
    } else {
      invalid_argument(
          "VulkanExecutionProvider: the option 'kernels' is words joined by '+' out of direct, tiles, matrices, khr, "
          "rows, "
          "winograd, no-winograd, large, medium, small and split1 to split99, not '" +
          word + "'");
    }
  }
}

std::shared_ptr<Instance> Instance::get() {
  static std::mutex mutex;
  static std::weak_ptr<Instance> shared;
  std::lock_guard lock(mutex);
  if (auto instance = shared.lock()) return instance;
  std::string reason;
  const GlobalApi* api = open_library(reason);
  if (!api) fail(ErrorCode::Fail, "Vulkan is not available: " + reason);
  std::shared_ptr<Instance> instance(new Instance(*api));
  shared = instance;
  return instance;
}

Instance::Instance(const GlobalApi& api) {
  uint32_t version = VK_API_VERSION_1_0;
  api.vkEnumerateInstanceVersion(&version);
  if (version < VK_API_VERSION_1_2) fail(ErrorCode::Fail, "Vulkan is not available: libvulkan is older than 1.2");
  VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
  application.pApplicationName = "fastort";
  application.apiVersion = version_ = version < VK_API_VERSION_1_3 ? VK_API_VERSION_1_2 : VK_API_VERSION_1_3;
  VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &application;
  if (const VkResult result = api.vkCreateInstance(&info, nullptr, &handle_); result != VK_SUCCESS)
    fail(ErrorCode::Fail, "Vulkan is not available: vkCreateInstance gives " + result_name(result) +
                              " (is there a driver in /usr/share/vulkan/icd.d?)");
  api_ = load_instance(api, handle_);
  uint32_t count = 0;
  api_.vkEnumeratePhysicalDevices(handle_, &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  api_.vkEnumeratePhysicalDevices(handle_, &count, handles.data());
  for (uint32_t i = 0; i < count; ++i) devices_.push_back(describe(handles[i]));
  std::stable_sort(devices_.begin(), devices_.end(),
                   [](const DeviceInfo& a, const DeviceInfo& b) { return rank_of(a) > rank_of(b); });
  for (uint32_t i = 0; i < count; ++i) devices_[i].index = static_cast<int>(i);
}

Instance::~Instance() {
  if (handle_) api_.vkDestroyInstance(handle_, nullptr);
}

DeviceInfo Instance::describe(VkPhysicalDevice handle) const {
  DeviceInfo info;
  info.handle = handle;
  api_.vkGetPhysicalDeviceProperties(handle, &info.properties);
  const VkPhysicalDeviceLimits& limits = info.properties.limits;
  info.is_cpu = info.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  if (info.properties.apiVersion < VK_API_VERSION_1_2) {
    info.refusal = "its driver has no Vulkan 1.2";
    return info;
  }
  VkPhysicalDeviceVulkan11Features features11{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES};
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &features11};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  api_.vkGetPhysicalDeviceFeatures2(handle, &features);
  VkPhysicalDeviceSubgroupProperties subgroup{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &subgroup};
  api_.vkGetPhysicalDeviceProperties2(handle, &properties);
  if (!features12.bufferDeviceAddress) info.refusal = "it lacks buffer device addresses (bufferDeviceAddress)";
  if (!features12.timelineSemaphore) info.refusal = "it lacks timeline semaphores (timelineSemaphore)";
  if (!features12.scalarBlockLayout) info.refusal = "it lacks scalar block layout (scalarBlockLayout)";

  uint32_t count = 0;
  api_.vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  api_.vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families.data());
  const auto computes = std::find_if(families.begin(), families.end(), [](const VkQueueFamilyProperties& family) {
    return (family.queueFlags & VK_QUEUE_COMPUTE_BIT) != 0;
  });
  if (computes == families.end()) info.refusal = "it has no queue that computes";
  info.queue_family = static_cast<uint32_t>(computes - families.begin());

  info.has_timestamps = computes != families.end() && computes->timestampValidBits == 64 && limits.timestampPeriod > 0;
  uint32_t extension_count = 0;
  api_.vkEnumerateDeviceExtensionProperties(handle, nullptr, &extension_count, nullptr);
  std::vector<VkExtensionProperties> extensions(extension_count);
  api_.vkEnumerateDeviceExtensionProperties(handle, nullptr, &extension_count, extensions.data());
  const auto has_extension = [&](std::string_view name) {
    return std::any_of(extensions.begin(), extensions.end(),
                       [&](const VkExtensionProperties& extension) { return extension.extensionName == name; });
  };
  info.shares_memory_fds = has_extension(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME);
  VkPhysicalDeviceMemoryProperties memory;
  api_.vkGetPhysicalDeviceMemoryProperties(handle, &memory);
  info.unified = shares_memory(memory);
  if (info.unified && has_extension(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME)) {
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host{
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
    VkPhysicalDeviceProperties2 more{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &host};
    api_.vkGetPhysicalDeviceProperties2(handle, &more);
    info.import_alignment = static_cast<size_t>(host.minImportedHostPointerAlignment);
  }
  for (size_t i = 0; i < 3; ++i) info.traits.max_groups[i] = limits.maxComputeWorkGroupCount[i];
  info.traits.max_invocations = limits.maxComputeWorkGroupInvocations;
  info.traits.shared_bytes = limits.maxComputeSharedMemorySize;
  info.traits.subgroup = subgroup.subgroupSize;
  info.traits.storage8 = features12.storageBuffer8BitAccess && features12.shaderInt8;
  info.traits.storage16 = features11.storageBuffer16BitAccess && features.features.shaderInt16;
  info.traits.arithmetic16 = info.traits.storage16 && features12.shaderFloat16;
  info.traits.int64 = features.features.shaderInt64;
  info.traits.float64 = features.features.shaderFloat64;
  info.traits.subgroup_sums = (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) != 0 &&
                              (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
  info.traits.slow_shared = info.is_cpu;
  info.has_vulkan13 = std::min(version_, info.properties.apiVersion) >= VK_API_VERSION_1_3;
  describe_matrices(api_, has_extension, info);
  return info;
}

const DeviceInfo& Instance::choose(const Options& options) const {
  const DeviceInfo* best = nullptr;
  std::string reasons;
  int named = 0;
  for (size_t i = 0; i < devices_.size(); ++i) {
    const DeviceInfo& device = devices_[i];
    const std::string name = device.properties.deviceName;
    Refusal refusal = device.refusal;
    if (name.find(options.device_name) == std::string::npos) {
      refusal = "another device_name is asked for";
    } else if (const int number = named++; options.device_id >= 0 && options.device_id != number) {
      refusal = "another device_id is asked for";
    }
    if (device.is_cpu && !options.takes_cpu())
      refusal =
          "it is an implementation on the CPU, which serves only where it is asked for (device_id, device_name "
          "or allow_cpu=1)";
    if (refusal) {
      reasons += "\n  " + std::to_string(i) + " " + name + ": " + *refusal;
    } else if (!best || rank_of(device) > rank_of(*best)) {
      best = &device;
    }
  }
  if (best) return *best;
  fail(ErrorCode::Fail, "no Vulkan device serves:" + (devices_.empty() ? " there is none" : reasons));
}

}  // namespace fastort::vulkan
