#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "ops/gpu.h"
#include "providers/vulkan/api.h"

namespace fastort::vulkan {

// What is done in float16: nothing, the weights and intermediates of float32 models, or their products too.
enum class Half : uint8_t { Off, Storage, Arithmetic };

// Whether nodes run by measured times: never, by those that are kept, or also by new ones.
enum class Tune : uint8_t { Off, Stored, Measure };

// Options of the provider, as the user gives them.
struct Options {
  int device_id = -1;       // a number among the devices with that name; -1 for the best one
  std::string device_name;  // a part of the device's name
  bool allow_cpu = false;   // an implementation of Vulkan on the CPU serves too
  bool strict_placement = false;
  bool always_stage = false;  // copy through the staging ring also where host and device share memory
  bool tiles = false;         // kernels that share tiles in work-group memory, also on an implementation on the CPU
  std::string kernels;        // see apply_kernels()
  bool profile = false;       // measure every run, so that a profile records nothing anew
  Half half = Half::Off;
  std::string cache_dir;  // of compiled pipelines and measured times; empty for the user's cache folder, "off" for none
  std::optional<Tune> tune;  // left away: Stored on a GPU, Off on an implementation on the CPU
  double tune_seconds = 20;  // that a session may spend on measuring

  // Throws Error(InvalidArgument) for an option that there is not, and for a value that makes no sense.
  static Options parse(const std::map<std::string, std::string>& entries);
  // A device was asked for by number, by name or in general.
  bool takes_cpu() const { return allow_cpu || device_id >= 0 || !device_name.empty(); }
};

// One physical device of the machine.
struct DeviceInfo {
  int index = 0;  // among the machine's devices, the fastest kind first
  VkPhysicalDevice handle = VK_NULL_HANDLE;
  VkPhysicalDeviceProperties properties{};
  uint32_t queue_family = 0;
  GpuTraits traits;
  bool is_cpu = false;
  bool has_timestamps = false;
  bool shares_memory_fds = false;     // VK_KHR_external_memory_fd
  bool holds_subgroup_width = false;  // VK_EXT_subgroup_size_control
  bool has_vulkan13 = false;          // and so has the library
  size_t import_alignment = 0;        // of the host's memory that shaders may read in place; 0: none is
  bool unified = false;               // host and device share the memory
  Refusal refusal;                    // why it does not serve, whatever the options
};

// Takes the choice of kernels out of the rules' hands: `kernels` is words joined by "+", "direct" (memory is read where
// it lies), "tiles" (tiles in work-group memory, no matrices), "matrices" (cooperative ones where tensors are float16;
// with "khr" never NVIDIA's second version), "rows" (the kernel for up to four rows where there are no more),
// "winograd" or "no-winograd", "large", "medium" or "small" tiles, and "split4", say, for 4 parts of K. Throws
// Error(InvalidArgument) for other words.
void apply_kernels(const std::string& kernels, GpuTraits& traits);

// libvulkan and the machine's devices, for as long as somebody uses them.
class Instance {
 public:
  // Throws Error(Fail) with the reason where there is no Vulkan.
  static std::shared_ptr<Instance> get();
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const InstanceApi& api() const { return api_; }
  const std::vector<DeviceInfo>& devices() const { return devices_; }
  // The device that the options ask for; throws Error(Fail) with every device's refusal where there is none.
  const DeviceInfo& choose(const Options& options) const;

 private:
  explicit Instance(const GlobalApi& api);
  DeviceInfo describe(VkPhysicalDevice handle) const;

  InstanceApi api_;
  uint32_t version_ = 0;  // that the library and fastort both know
  VkInstance handle_ = VK_NULL_HANDLE;
  std::vector<DeviceInfo> devices_;
};

}  // namespace fastort::vulkan
