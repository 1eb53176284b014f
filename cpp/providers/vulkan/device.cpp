#include "providers/vulkan/device.h"

#include <unistd.h>

#include <map>

#include "base/error.h"
#include "base/fork.h"
#include "providers/vulkan/faults.h"
#include "providers/vulkan/matrices.h"
#include "providers/vulkan/pipelines.h"
#include "providers/vulkan/values.h"
#include "providers/vulkan/weights.h"

namespace fastort::vulkan {
namespace {

// How long one submission may take before the device counts as hung.
constexpr uint64_t kTimeoutNanoseconds = 120'000'000'000;
// Before anything was measured.
constexpr double kSlowCpu = 2e9, kSlowGpu = 50e9;

// Every device is opened once.
struct OpenDevices {
  std::mutex mutex;
  std::map<int, std::weak_ptr<Device>> devices;
  static OpenDevices& instance() {
    static OpenDevices open;
    return open;
  }
};

}  // namespace

std::shared_ptr<Device> Device::open(const Options& options) {
  OpenDevices& open = OpenDevices::instance();
  std::lock_guard lock(open.mutex);
  auto instance = Instance::get();
  const DeviceInfo& info = instance->choose(options);
  std::weak_ptr<Device>& entry = open.devices[info.index];
  // A lost device is not handed out again: the next session opens it anew.
  if (auto device = entry.lock(); device && !device->lost() && device->in_process()) return device;
  std::shared_ptr<Device> device(new Device(std::move(instance), info));
  entry = device;
  return device;
}

std::vector<std::shared_ptr<Device>> Device::all_open() {
  OpenDevices& open = OpenDevices::instance();
  std::lock_guard lock(open.mutex);
  std::vector<std::shared_ptr<Device>> devices;
  for (const auto& [index, entry] : open.devices)
    if (auto device = entry.lock()) devices.push_back(std::move(device));
  return devices;
}

Device::Device(std::shared_ptr<Instance> instance, const DeviceInfo& info)
    : instance_(std::move(instance)),
      info_(info),
      process_(getpid()),
      values_(std::make_unique<ValueTable>()),
      rate_(info.is_cpu ? kSlowCpu : kSlowGpu) {
  const float priority = 1;
  VkDeviceQueueCreateInfo queue{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  queue.queueFamilyIndex = info_.queue_family;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkPhysicalDeviceVulkan11Features features11{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES};
  features11.storageBuffer16BitAccess = info_.traits.storage16;
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &features11};
  features12.bufferDeviceAddress = VK_TRUE;
  features12.timelineSemaphore = VK_TRUE;
  features12.scalarBlockLayout = VK_TRUE;
  features12.storageBuffer8BitAccess = info_.traits.storage8;
  features12.shaderInt8 = info_.traits.storage8;
  features12.shaderFloat16 = info_.traits.arithmetic16;
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  features.features.shaderInt16 = info_.traits.storage16;
  features.features.shaderInt64 = info_.traits.int64;
  features.features.shaderFloat64 = info_.traits.float64;
  std::vector<const char*> extensions;
  MatrixFeatures matrices(info_, extensions);
  features12.vulkanMemoryModel = !info_.traits.matrices.empty();
  features12.pNext = matrices.before(features12.pNext);
  VkDeviceCreateInfo create{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features};
  create.queueCreateInfoCount = 1;
  create.pQueueCreateInfos = &queue;
  if (info_.shares_memory_fds) extensions.push_back(VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME);
  if (info_.import_alignment) extensions.push_back(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  create.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  create.ppEnabledExtensionNames = extensions.data();
  const VkResult result = instance_->api().vkCreateDevice(info_.handle, &create, nullptr, &handle_);
  if (result != VK_SUCCESS) {
    handle_ = VK_NULL_HANDLE;
    check(result, "vkCreateDevice");
  }
  api_ = load_device(instance_->api(), handle_);
  api_.vkGetDeviceQueue(handle_, info_.queue_family, 0, &queue_);
  VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo semaphore{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type};
  check(api_.vkCreateSemaphore(handle_, &semaphore, nullptr, &timeline_), "vkCreateSemaphore");
  memory_ = std::make_unique<Allocator>(*this);
  arenas_ = std::make_unique<MemoryPool>(*memory_, Use::Device);
  uploads_ = std::make_unique<MemoryPool>(*memory_, Use::Upload);
  readbacks_ = std::make_unique<MemoryPool>(*memory_, Use::Readback);
  weights_ = std::make_unique<Weights>(*this);
}

Device::~Device() {
  if (!handle_) return;
  if (!in_process()) {
    // The parent's, who will free them.
    static_cast<void>(weights_.release());
    for (auto& [folder, pipelines] : pipelines_) static_cast<void>(pipelines.release());
    return;
  }
  api_.vkDeviceWaitIdle(handle_);
  weights_.reset();
  pipelines_.clear();
  readbacks_.reset();
  uploads_.reset();
  arenas_.reset();
  memory_.reset();
  api_.vkDestroySemaphore(handle_, timeline_, nullptr);
  api_.vkDestroyDevice(handle_, nullptr);
}

bool Device::in_process() const { return process_ == getpid(); }

Pipelines& Device::pipelines(const std::string& cache_dir) {
  const ForkGuard guard;
  std::lock_guard lock(pipelines_mutex_);
  std::unique_ptr<Pipelines>& pipelines = pipelines_[cache_dir];
  if (!pipelines) pipelines = std::make_unique<Pipelines>(*this, cache_dir);
  return *pipelines;
}

void Device::note_rate(double work, double seconds) {
  constexpr double kTooShort = 1e-3;  // the submission itself is most of it
  if (seconds < kTooShort) return;
  const double before = rate();
  rate_.store(0.5 * (before + work / seconds), std::memory_order_relaxed);
}

void Device::check(VkResult result, const char* call) const {
  if (result == VK_SUCCESS) return;
  const std::string where = std::string(info_.properties.deviceName) + ": " + call + " gives " + result_name(result);
  if (result == VK_ERROR_DEVICE_LOST) {
    lost_ = true;
    fail(ErrorCode::EPFail, where + ". The device is lost for the sessions that use it: close them and make new ones");
  }
  if (result == VK_TIMEOUT) {
    lost_ = true;
    fail(ErrorCode::EPFail, where + " after " + std::to_string(kTimeoutNanoseconds / 1'000'000'000) +
                                " s. The device counts as lost: close its sessions and make new ones, with a smaller "
                                "batch or on the CPU");
  }
  fail(ErrorCode::EPFail, where);
}

void Device::run(std::span<const VkCommandBuffer> commands) {
  if (!in_process())
    fail(ErrorCode::EPFail, "a session on a Vulkan device does not work in a forked child: make it after the fork");
  if (lost())
    fail(ErrorCode::EPFail, std::string(info_.properties.deviceName) +
                                " was lost in an earlier run: close its sessions and make new ones");
  uint64_t value = 0;
  {
    std::lock_guard lock(submitting_);
    value = ++submitted_;
    VkTimelineSemaphoreSubmitInfo timeline{VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO};
    timeline.signalSemaphoreValueCount = 1;
    timeline.pSignalSemaphoreValues = &value;
    VkSubmitInfo submit{VK_STRUCTURE_TYPE_SUBMIT_INFO, &timeline};
    submit.commandBufferCount = static_cast<uint32_t>(commands.size());
    submit.pCommandBuffers = commands.data();
    submit.signalSemaphoreCount = 1;
    submit.pSignalSemaphores = &timeline_;
    const auto injected = fault("vkQueueSubmit");
    check(injected ? *injected : api_.vkQueueSubmit(queue_, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
  }
  VkSemaphoreWaitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  wait.semaphoreCount = 1;
  wait.pSemaphores = &timeline_;
  wait.pValues = &value;
  const VkResult result = api_.vkWaitSemaphores(handle_, &wait, kTimeoutNanoseconds);
  check(fault("vkWaitSemaphores").value_or(result), "vkWaitSemaphores");
}

}  // namespace fastort::vulkan
