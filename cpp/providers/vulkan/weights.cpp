#include "providers/vulkan/weights.h"

#include <vector>

#include "base/digest.h"
#include "base/fork.h"
#include "providers/vulkan/device.h"
#include "providers/vulkan/transfer.h"
#include "tensor/deferred.h"

namespace fastort::vulkan {
namespace {

// What the key of a tensor's plain contents ends with: the same bytes are the same, whatever their shape.
constexpr const char* kPlain = "plain";

}  // namespace

const std::string& Weights::digest_of(const Tensor& source) {
  Known& known = digests_[source.identity()];
  // Another buffer at the same address is another constant.
  if (known.bytes == source.bytes() && source.buffer() && known.buffer.lock() == source.buffer()) return known.digest;
  Digest digest;
  digest.add(source.source(), source.bytes());
  return (known = {source.buffer(), source.bytes(), digest.bytes()}).digest;
}

std::shared_ptr<Memory> Weights::get(const DeviceConstant& constant) {
  const ForkGuard guard;
  const ReadScope scope;
  const GpuConstant& wanted = constant.constant;
  std::lock_guard lock(mutex_);
  std::string key;
  std::vector<std::byte> table;  // where there is no source, the contents themselves are told apart
  if (constant.source) {
    const Tensor& source = *constant.source;
    key = digest_of(source) + wanted.format;
    if (wanted.format != kPlain) key += to_string(source.shape()) + std::string(name(source.type()));
  } else {
    table.resize(wanted.bytes);
    wanted.fill(table.data());
    Digest digest;
    digest.add(table.data(), table.size());
    key = digest.bytes() + kPlain;
  }
  key += "/" + std::to_string(wanted.bytes);
  if (const auto found = entries_.find(key); found != entries_.end())
    if (auto memory = found->second.lock()) return memory;
  std::shared_ptr<Memory> memory;
  if (constant.source) {
    memory = upload(wanted);
    constant.source->give_up();
  } else {
    GpuConstant made;
    made.bytes = table.size();
    made.fill = [&table](std::byte* into) { std::copy(table.begin(), table.end(), into); };
    memory = upload(made);
  }
  std::erase_if(entries_, [](const auto& item) { return item.second.expired(); });
  std::erase_if(digests_, [](const auto& item) { return item.second.buffer.expired(); });
  entries_[key] = memory;
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
