#include "providers/vulkan/weights.h"

#include "base/fork.h"
#include "providers/vulkan/device.h"
#include "providers/vulkan/transfer.h"

namespace fastort::vulkan {

std::shared_ptr<Memory> Weights::get(const DeviceConstant& constant) {
  if (!constant.source) return upload(constant.constant);
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  const Tensor& source = *constant.source;
  const std::string form = constant.constant.format + "/" + std::to_string(constant.constant.bytes);
  Entry& entry = entries_[{source.raw(), form}];
  // Another buffer at the same address is another constant.
  auto memory = entry.memory.lock();
  if (memory && entry.source.lock() == source.buffer()) return memory;
  memory = upload(constant.constant);
  entry = {source.buffer(), memory};
  std::erase_if(entries_, [](const auto& item) { return item.second.memory.expired(); });
  return memory;
}

std::shared_ptr<Memory> Weights::upload(const GpuConstant& constant) {
  auto memory = device_.memory().allocate(Use::Device, constant.bytes);
  if (memory->host()) {
    constant.fill(memory->host());
    return memory;
  }
  const auto staging = device_.memory().allocate(Use::Upload, constant.bytes);
  constant.fill(staging->host());
  copy(device_, *staging, 0, *memory, 0, constant.bytes, true);
  return memory;
}

}  // namespace fastort::vulkan
