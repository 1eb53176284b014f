#include "providers/vulkan/transfer.h"

#include <algorithm>
#include <cstring>

#include "providers/vulkan/commands.h"

namespace fastort::vulkan {
namespace {

// What lies in the staging memory at a time.
constexpr size_t kPiece = size_t{32} << 20;

// Staging memory for the length of a copy.
class Staging {
 public:
  Staging(MemoryPool& pool, size_t bytes) : pool_(pool), memory_(pool.take(std::min(bytes, kPiece))) {}
  ~Staging() { pool_.give(std::move(memory_)); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  const Memory& operator*() const { return *memory_; }

 private:
  MemoryPool& pool_;
  std::shared_ptr<Memory> memory_;
};

void copy_buffer(Device& device, const Memory& src, size_t src_offset, const Memory& dst, size_t dst_offset,
                 size_t bytes) {
  const Commands commands(device, 1);
  commands.begin(0, false);
  all_barrier(device.api(), commands[0]);
  const VkBufferCopy region{src.offset() + src_offset, dst.offset() + dst_offset, bytes};
  device.api().vkCmdCopyBuffer(commands[0], src.buffer(), dst.buffer(), 1, &region);
  all_barrier(device.api(), commands[0]);
  commands.end(0);
  const VkCommandBuffer recorded = commands[0];
  device.run({&recorded, 1});
}

}  // namespace

void upload(Device& device, const std::byte* src, const Memory& dst, size_t offset, size_t bytes, bool staged) {
  if (bytes == 0) return;
  device.memory().note_copy(bytes);
  if (dst.host() && !staged) {
    std::memcpy(dst.host() + offset, src, bytes);
    return;
  }
  const Staging staging(device.uploads(), bytes);
  for (size_t at = 0; at < bytes; at += kPiece) {
    const size_t count = std::min(kPiece, bytes - at);
    std::memcpy((*staging).host(), src + at, count);
    copy_buffer(device, *staging, 0, dst, offset + at, count);
  }
}

void download(Device& device, const Memory& src, size_t offset, std::byte* dst, size_t bytes, bool staged) {
  if (bytes == 0) return;
  device.memory().note_copy(bytes);
  if (src.host() && !staged) {
    std::memcpy(dst, src.host() + offset, bytes);
    return;
  }
  const Staging staging(device.readbacks(), bytes);
  for (size_t at = 0; at < bytes; at += kPiece) {
    const size_t count = std::min(kPiece, bytes - at);
    copy_buffer(device, src, offset + at, *staging, 0, count);
    std::memcpy(dst + at, (*staging).host(), count);
  }
}

void copy(Device& device, const Memory& src, size_t src_offset, const Memory& dst, size_t dst_offset, size_t bytes,
          bool staged) {
  if (bytes == 0) return;
  const uint64_t from = src.address() + src_offset, to = dst.address() + dst_offset;
  if (from == to) return;
  if (src.host() && dst.host() && !staged) {
    std::memmove(dst.host() + dst_offset, src.host() + src_offset, bytes);
  } else if (from < to + bytes && to < from + bytes) {
    const auto between = device.memory().allocate(Use::Device, bytes);
    copy_buffer(device, src, src_offset, *between, 0, bytes);
    copy_buffer(device, *between, 0, dst, dst_offset, bytes);
  } else {
    copy_buffer(device, src, src_offset, dst, dst_offset, bytes);
  }
}

}  // namespace fastort::vulkan
