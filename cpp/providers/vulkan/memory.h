#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "plan/device.h"
#include "providers/vulkan/api.h"

namespace fastort::vulkan {

class Device;
class Allocator;

// What memory is for.
enum class Use : uint8_t {
  Device,    // the GPU's own; mapped where host and device share memory
  Upload,    // written by the host, read by the GPU
  Readback,  // written by the GPU, read by the host
  Shared,    // a block of its own, which other processes and interfaces can open by a file descriptor
};

// One allocation of the driver, which pieces are cut from.
struct Block {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkBuffer buffer = VK_NULL_HANDLE;
  size_t bytes = 0;
  uint64_t address = 0;
  std::byte* host = nullptr;
  std::map<size_t, size_t> gaps;  // offset -> bytes
  Use use = Use::Device;
};

// A piece of device memory, given back when the last owner lets go.
class Memory {
 public:
  Memory(Allocator& allocator, Block& block, size_t offset, size_t bytes);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint64_t address() const { return address_; }
  std::byte* host() const { return host_; }  // nullptr where the host cannot reach it
  size_t bytes() const { return bytes_; }
  VkBuffer buffer() const { return block_.buffer; }
  const Block& block() const { return block_; }
  size_t offset() const { return offset_; }

 private:
  Allocator& allocator_;
  Block& block_;
  size_t offset_;
  size_t bytes_;
  uint64_t address_;
  std::byte* host_;
};

// Cuts pieces from blocks, the first gap that holds one. Blocks without pieces go back to the driver, but for one of
// each use.
class Allocator {
 public:
  explicit Allocator(const Device& device);
  ~Allocator();

  // Throws Error(Fail) with the sizes where there is no memory left.
  std::shared_ptr<Memory> allocate(Use use, size_t bytes);
  // Opens the memory behind a file descriptor of share(), of which the driver becomes the owner.
  std::shared_ptr<Memory> import(int fd, size_t bytes);
  // A file descriptor, the caller's, for memory that is Use::Shared.
  int share(const Memory& memory) const;
  DeviceMemory usage() const;
  // A type of memory, among those of the mask, that host and device see alike.
  std::optional<uint32_t> coherent_type(uint32_t mask) const;
  // Bytes that were copied between host and device, for usage().
  void note_copy(size_t bytes) noexcept { copied_.fetch_add(bytes, std::memory_order_relaxed); }

 private:
  friend class Memory;
  void free(Block& block, size_t offset, size_t bytes) noexcept;
  Block& add_block(Use use, size_t bytes, int fd = -1);
  std::shared_ptr<Memory> cut(Block& block, size_t bytes);
  void drop(const Block& block) noexcept;

  const Device& device_;
  VkPhysicalDeviceMemoryProperties properties_{};
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_;
  size_t pieces_ = 0, used_ = 0;
  std::atomic<size_t> copied_{0};
};

// Blocks of one use that runs borrow and give back: the arena of intermediates, the staging of inputs and results.
class MemoryPool {
 public:
  MemoryPool(Allocator& allocator, Use use) : allocator_(allocator), use_(use) {}
  std::shared_ptr<Memory> take(size_t bytes);
  void give(std::shared_ptr<Memory> memory);
  size_t trim();

 private:
  static constexpr size_t kMaxIdle = 4;
  Allocator& allocator_;
  Use use_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Memory>> idle_;
};

}  // namespace fastort::vulkan
