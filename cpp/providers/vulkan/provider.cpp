#include "providers/vulkan/provider.h"

#include "base/error.h"
#include "providers/vulkan/segment.h"

namespace fastort::vulkan {
namespace {

class VulkanProvider final : public DeviceProvider {
 public:
  explicit VulkanProvider(const Options& options) : options_(options), device_(Device::open(options)) {}

  std::string_view name() const override { return "VulkanExecutionProvider"; }
  const GpuTraits& traits() const override { return device_->info().traits; }
  bool strict() const override { return options_.strict_placement; }

  std::vector<std::unique_ptr<Kernel>> compile(DevicePlan plan) const override {
    return segment_kernels(std::make_shared<CompiledPlan>(device_, std::move(plan), options_.always_stage));
  }

  size_t trim() const override {
    return device_->arenas().trim() + device_->uploads().trim() + device_->readbacks().trim();
  }

  Device& device() const { return *device_; }

 private:
  Options options_;
  std::shared_ptr<Device> device_;
};

}  // namespace

std::shared_ptr<const DeviceProvider> make_provider(const std::map<std::string, std::string>& options) {
  return std::make_shared<VulkanProvider>(Options::parse(options));
}

std::vector<DeviceSummary> list_devices() {
  std::vector<DeviceSummary> devices;
  for (const DeviceInfo& info : Instance::get()->devices())
    devices.push_back({info.properties.deviceName, info.is_cpu, info.refusal.value_or("")});
  return devices;
}

void check_options(const std::map<std::string, std::string>& options) {
  Instance::get()->choose(Options::parse(options));
}

size_t live_allocations(const DeviceProvider& provider) {
  return dynamic_cast<const VulkanProvider&>(provider).device().memory().pieces();
}

}  // namespace fastort::vulkan
