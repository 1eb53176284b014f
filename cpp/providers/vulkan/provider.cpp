#include "providers/vulkan/provider.h"

#include <algorithm>

#include "base/error.h"
#include "providers/vulkan/pipelines.h"
#include "providers/vulkan/segment.h"
#include "providers/vulkan/shaders.h"
#include "providers/vulkan/tuner.h"
#include "providers/vulkan/values.h"

namespace fastort::vulkan {
namespace {

class VulkanProvider final : public DeviceProvider {
 public:
  explicit VulkanProvider(const Options& options)
      : options_(options), device_(Device::open(options)), traits_(device_->info().traits) {
    const std::string device = device_->info().properties.deviceName;
    if (options_.half != Half::Off && !traits_.storage16)
      fail(ErrorCode::Fail, "enable_fp16 is set, and the shaders of " + device + " cannot store 16-bit numbers");
    if (options_.half == Half::Arithmetic && !traits_.arithmetic16)
      fail(ErrorCode::Fail, "enable_fp16 is 'arithmetic', and " + device + " has no float16 arithmetic: use 'storage'");
    traits_.arithmetic16 = options_.half == Half::Arithmetic;
    traits_.slow_shared &= !options_.tiles;
    // A compiler that did not know them left their shaders out.
    if (!VulkanProvider::has_shader("gemm_matrix.f16")) traits_.matrices.clear();
    traits_.matrix_elements &= VulkanProvider::has_shader("gemm_matrix2.f16");
    apply_kernels(options_.kernels, traits_);
    const Tune usual = device_->info().is_cpu ? Tune::Off : Tune::Stored;
    if (!options_.tune && !device_->info().has_timestamps) options_.tune = Tune::Off;
    options_.tune = options_.tune.value_or(usual);
    if (options_.tune == Tune::Measure && !device_->info().has_timestamps)
      fail(ErrorCode::Fail,
           "tune is 'measure', and " + device + " cannot tell what its work takes (timestamps): leave it away");
    // Who names kernels has chosen.
    if (options_.tune != Tune::Off && options_.kernels.empty())
      tuner_ = std::make_unique<Tuner>(device_, options_, traits_);
  }

  std::string_view name() const override { return "VulkanExecutionProvider"; }
  const GpuTraits& traits() const override { return traits_; }
  bool half_storage() const override { return options_.half != Half::Off; }
  bool has_shader(std::string_view name) const override {
    return std::any_of(shaders().begin(), shaders().end(), [&](const Shader& shader) { return shader.name == name; });
  }
  DeviceTuner* tuner() const override { return tuner_.get(); }
  bool strict() const override { return options_.strict_placement; }

  std::vector<std::unique_ptr<Kernel>> compile(DevicePlan plan) const override {
    auto kernels = segment_kernels(std::make_shared<CompiledPlan>(device_, std::move(plan), options_));
    device_->pipelines(options_.cache_dir).save();
    if (tuner_) tuner_->settle();
    return kernels;
  }

  ~VulkanProvider() override { VulkanProvider::trim(); }

  const void* device() const override { return device_.get(); }

  DeviceMemory memory() const override { return device_->memory().usage(); }

  size_t trim() const override {
    return device_->arenas().trim() + device_->uploads().trim() + device_->readbacks().trim();
  }

 private:
  Options options_;
  std::shared_ptr<Device> device_;
  GpuTraits traits_;
  std::unique_ptr<Tuner> tuner_;
};

const char* kind_of(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return "cpu";
    default:
      return "other";
  }
}

}  // namespace

std::shared_ptr<const DeviceProvider> make_provider(const std::map<std::string, std::string>& options) {
  return std::make_shared<VulkanProvider>(Options::parse(options));
}

std::vector<DeviceSummary> list_devices() {
  std::vector<DeviceSummary> devices;
  const std::shared_ptr<Instance> instance = Instance::get();
  for (const DeviceInfo& info : instance->devices()) {
    const VkPhysicalDeviceProperties& about = info.properties;
    const std::string version = std::to_string(VK_API_VERSION_MAJOR(about.apiVersion)) + "." +
                                std::to_string(VK_API_VERSION_MINOR(about.apiVersion)) + "." +
                                std::to_string(VK_API_VERSION_PATCH(about.apiVersion));
    devices.push_back({about.deviceName, kind_of(about.deviceType), about.vendorID, about.deviceID, version,
                       info.is_cpu, info.refusal.value_or(""), info.import_alignment != 0, info.traits});
  }
  return devices;
}

void check_options(const std::map<std::string, std::string>& options) {
  Instance::get()->choose(Options::parse(options));
}

namespace {

std::shared_ptr<Device> device_of_values(int id) {
  Options options = Options::parse({});
  options.device_id = id;
  return Device::open(options);
}

}  // namespace

std::shared_ptr<DeviceBuffer> allocate_value(int device, size_t bytes) {
  return ValueBuffer::make(device_of_values(device), bytes);
}

std::shared_ptr<DeviceBuffer> share_value(int device, size_t bytes, int fd) {
  return ValueBuffer::make_shared(device_of_values(device), bytes, fd);
}

std::shared_ptr<DeviceBuffer> find_value(int device, uint64_t address, size_t bytes) {
  return ValueBuffer::find(device_of_values(device), address, bytes);
}

std::shared_ptr<DeviceBuffer> request_value(int device) { return ValueBuffer::request(device_of_values(device)); }

DeviceMemory open_device_memory() {
  DeviceMemory sum;
  for (const auto& device : Device::all_open()) {
    const DeviceMemory memory = device->memory().usage();
    sum.held += memory.held;
    sum.used += memory.used;
    sum.pieces += memory.pieces;
    sum.copied += memory.copied;
  }
  return sum;
}

}  // namespace fastort::vulkan
