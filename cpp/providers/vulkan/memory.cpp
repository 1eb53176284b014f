#include "providers/vulkan/memory.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/fork.h"
#include "providers/vulkan/device.h"
#include "providers/vulkan/faults.h"

namespace fastort::vulkan {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 20;
constexpr size_t kAlign = 256;

size_t round_up(size_t bytes) { return (std::max<size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign; }

// Properties in order of preference for each use.
std::vector<VkMemoryPropertyFlags> wanted_flags(Use use, bool unified) {
  constexpr VkMemoryPropertyFlags kDevice = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  constexpr VkMemoryPropertyFlags kHost = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags kCached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  if ((use == Use::Device || use == Use::Shared) && unified)
    return {kDevice | kHost | kCached, kDevice | kHost, kDevice};
  if (use == Use::Device || use == Use::Shared) return {kDevice, 0};
  if (use == Use::Readback) return {kHost | kCached, kHost};
  return {kHost};
}

std::string megabytes(size_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

}  // namespace

Memory::Memory(Allocator& allocator, Block& block, size_t offset, size_t bytes)
    : allocator_(allocator),
      block_(block),
      offset_(offset),
      bytes_(bytes),
      address_(block.address + offset),
      host_(block.host ? block.host + offset : nullptr) {}

Memory::~Memory() { allocator_.free(block_, offset_, bytes_); }

Allocator::Allocator(const Device& device) : device_(device) {
  device.instance().api().vkGetPhysicalDeviceMemoryProperties(device.info().handle, &properties_);
}

Allocator::~Allocator() {
  for (const auto& block : blocks_) drop(*block);
}

void Allocator::drop(const Block& block) noexcept {
  if (!device_.in_process()) return;
  const DeviceApi& vk = device_.api();
  vk.vkDestroyBuffer(device_.handle(), block.buffer, nullptr);
  vk.vkFreeMemory(device_.handle(), block.memory, nullptr);
}

Block& Allocator::add_block(Use use, size_t bytes, int fd) {
  const DeviceApi& vk = device_.api();
  auto block = std::make_unique<Block>();
  block->use = use;
  block->bytes = bytes;
  VkBufferCreateInfo buffer{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  buffer.size = bytes;
  buffer.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  VkExternalMemoryBufferCreateInfo external{VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO};
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  if (use == Use::Shared) buffer.pNext = &external;
  device_.check(vk.vkCreateBuffer(device_.handle(), &buffer, nullptr, &block->buffer), "vkCreateBuffer");
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(device_.handle(), block->buffer, &needs);

  VkMemoryAllocateFlagsInfo flags{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO};
  flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
  VkExportMemoryAllocateInfo exported{VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO};
  exported.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  VkImportMemoryFdInfoKHR imported{VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR};
  imported.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  imported.fd = fd;
  if (use == Use::Shared) flags.pNext = fd < 0 ? static_cast<const void*>(&exported) : &imported;
  VkMemoryAllocateInfo allocate{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &flags};
  allocate.allocationSize = needs.size;
  VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  VkMemoryPropertyFlags got = 0;
  const bool injected = fault("vkAllocateMemory").has_value();
  for (const VkMemoryPropertyFlags wanted : wanted_flags(use, device_.info().unified)) {
    for (uint32_t i = 0; i < properties_.memoryTypeCount && result != VK_SUCCESS; ++i) {
      got = properties_.memoryTypes[i].propertyFlags;
      if (!(needs.memoryTypeBits >> i & 1u) || (got & wanted) != wanted) continue;
      allocate.memoryTypeIndex = i;
      if (injected) continue;
      result = vk.vkAllocateMemory(device_.handle(), &allocate, nullptr, &block->memory);
    }
    if (result == VK_SUCCESS) break;
  }
  if (result != VK_SUCCESS) {
    vk.vkDestroyBuffer(device_.handle(), block->buffer, nullptr);
    size_t held = 0;
    for (const auto& other : blocks_) held += other->bytes;
    fail(ErrorCode::EPFail, std::string(device_.info().properties.deviceName) + " has no memory left for " +
                                megabytes(bytes) + " more (" + result_name(result) + "); fastort holds " +
                                megabytes(held) +
                                " of it. Close other sessions, use a smaller batch, or run on the CPU");
  }
  device_.check(vk.vkBindBufferMemory(device_.handle(), block->buffer, block->memory, 0), "vkBindBufferMemory");
  if ((got & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) && (got & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
    void* host = nullptr;
    device_.check(vk.vkMapMemory(device_.handle(), block->memory, 0, VK_WHOLE_SIZE, 0, &host), "vkMapMemory");
    block->host = static_cast<std::byte*>(host);
  }
  VkBufferDeviceAddressInfo address{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO};
  address.buffer = block->buffer;
  block->address = vk.vkGetBufferDeviceAddress(device_.handle(), &address);
  block->gaps[0] = bytes;
  blocks_.push_back(std::move(block));
  return *blocks_.back();
}

std::shared_ptr<Memory> Allocator::cut(Block& block, size_t size) {
  for (auto gap = block.gaps.begin(); gap != block.gaps.end(); ++gap) {
    if (gap->second < size) continue;
    const auto [offset, room] = *gap;
    block.gaps.erase(gap);
    if (room > size) block.gaps[offset + size] = room - size;
    ++pieces_;
    used_ += size;
    return std::make_shared<Memory>(*this, block, offset, size);
  }
  return nullptr;
}

std::shared_ptr<Memory> Allocator::allocate(Use use, size_t bytes) {
  const size_t size = round_up(bytes);
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  if (use == Use::Shared) return cut(add_block(use, size), size);
  for (const auto& block : blocks_) {
    if (block->use != use) continue;
    if (auto memory = cut(*block, size)) return memory;
  }
  return cut(add_block(use, size > kBlockBytes / 2 ? size : kBlockBytes), size);
}

std::shared_ptr<Memory> Allocator::import(int fd, size_t bytes) {
  const size_t size = round_up(bytes);
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  return cut(add_block(Use::Shared, size, fd), size);
}

int Allocator::share(const Memory& memory) const {
  VkMemoryGetFdInfoKHR get{VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR};
  get.memory = memory.block().memory;
  get.handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT;
  int fd = -1;
  device_.check(device_.api().vkGetMemoryFdKHR(device_.handle(), &get, &fd), "vkGetMemoryFdKHR");
  return fd;
}

void Allocator::free(Block& block, size_t offset, size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  --pieces_;
  used_ -= bytes;
  auto [gap, added] = block.gaps.emplace(offset, bytes);
  if (const auto next = std::next(gap); next != block.gaps.end() && gap->first + gap->second == next->first) {
    gap->second += next->second;
    block.gaps.erase(next);
  }
  if (gap != block.gaps.begin()) {
    const auto before = std::prev(gap);
    if (before->first + before->second == gap->first) {
      before->second += gap->second;
      block.gaps.erase(gap);
    }
  }
  const bool empty = block.gaps.size() == 1 && block.gaps.begin()->second == block.bytes;
  if (!empty) return;
  const auto twin = std::find_if(blocks_.begin(), blocks_.end(),
                                 [&](const auto& other) { return other.get() != &block && other->use == block.use; });
  if (twin == blocks_.end() && block.bytes == kBlockBytes && block.use != Use::Shared) return;
  drop(block);
  std::erase_if(blocks_, [&](const auto& other) { return other.get() == &block; });
}

std::optional<uint32_t> Allocator::coherent_type(uint32_t mask) const {
  for (uint32_t i = 0; i < properties_.memoryTypeCount; ++i)
    if ((mask >> i & 1u) && (properties_.memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) return i;
  return std::nullopt;
}

DeviceMemory Allocator::usage() const {
  std::lock_guard lock(mutex_);
  DeviceMemory usage{0, used_, pieces_, copied_.load(std::memory_order_relaxed)};
  for (const auto& block : blocks_) usage.held += block->bytes;
  return usage;
}

std::shared_ptr<Memory> MemoryPool::take(size_t bytes) {
  {
    std::lock_guard lock(mutex_);
    auto best = idle_.end();
    for (auto memory = idle_.begin(); memory != idle_.end(); ++memory) {
      if ((*memory)->bytes() < bytes) continue;
      if (best == idle_.end() || (*memory)->bytes() < (*best)->bytes()) best = memory;
    }
    if (best != idle_.end()) {
      auto memory = std::move(*best);
      idle_.erase(best);
      return memory;
    }
    // What is too small now has been outgrown.
    if (!idle_.empty()) idle_.pop_back();
  }
  return allocator_.allocate(use_, bytes);
}

void MemoryPool::give(std::shared_ptr<Memory> memory) {
  std::lock_guard lock(mutex_);
  if (memory && idle_.size() < kMaxIdle) idle_.push_back(std::move(memory));
}

size_t MemoryPool::trim() {
  std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& memory : idle_) bytes += memory->bytes();
  idle_.clear();
  return bytes;
}

}  // namespace fastort::vulkan
