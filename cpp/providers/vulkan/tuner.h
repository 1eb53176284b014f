#pragma once

#include <atomic>
#include <memory>

#include "plan/device_tuner.h"
#include "providers/vulkan/device.h"

namespace fastort::vulkan {

// Times the ways of products and convolutions by the device's timestamps. What it finds is kept beside the pipelines,
// by device, driver, shaders and all that the node's work depends on.
class Tuner final : public DeviceTuner {
 public:
  Tuner(std::shared_ptr<Device> device, const Options& options, const GpuTraits& traits);

  std::span<const DeviceWay> ways() const override { return ways_; }
  std::optional<DeviceChoice> find(const DeviceForm& rule) override;
  bool measures() const override { return seconds_.load(std::memory_order_relaxed) > 0; }
  std::optional<DeviceChoice> measure(std::span<const DeviceTrial> trials) override;
  void settle() override;

 private:
  std::string key_of(const DeviceForm& rule) const;

  std::shared_ptr<Device> device_;
  Options options_;
  std::vector<DeviceWay> ways_;
  std::atomic<double> seconds_;  // that trials may still take
};

}  // namespace fastort::vulkan
