#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "providers/vulkan/api.h"

namespace fastort::vulkan {

class Device;

// A pool with command buffers that are recorded once; used by one thread at a time.
class Commands {
 public:
  Commands(const Device& device, uint32_t count);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;
  VkCommandBuffer operator[](size_t i) const { return buffers_[i]; }

  // `again`: the buffer is submitted many times.
  void begin(size_t i, bool again) const;
  void end(size_t i) const;

 private:
  const Device& device_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  std::vector<VkCommandBuffer> buffers_;
};

// Times that the device notes between dispatches.
class Timestamps {
 public:
  Timestamps(const Device& device, uint32_t count);
  ~Timestamps();
  Timestamps(const Timestamps&) = delete;
  Timestamps& operator=(const Timestamps&) = delete;

  // Forgets all; recorded before the first one.
  void reset(VkCommandBuffer commands);
  // Notes when what was recorded so far is done. `node`: what the time since the last note is for; -1 for nothing.
  void note(VkCommandBuffer commands, int node);
  struct Stretch {
    int node;
    int64_t begin_ns, end_ns;  // since the first note
  };
  std::vector<Stretch> read() const;

 private:
  const Device& device_;
  VkQueryPool pool_ = VK_NULL_HANDLE;
  uint32_t count_;
  std::vector<int> nodes_;  // of the notes so far
};

// Where barriers are due: keeps the ranges of addresses that dispatches since the last barrier read and wrote.
class Hazards {
 public:
  struct Range {
    uint64_t begin;
    uint64_t end;
    bool written;
  };
  // Whether a dispatch over these ranges must wait for those before it. Adds it to them; a barrier forgets the others.
  bool next(const std::vector<Range>& ranges);

 private:
  std::vector<Range> open_;
};

// All dispatches before are done, and what they wrote can be seen, before those behind begin.
void shader_barrier(const DeviceApi& vk, VkCommandBuffer commands);
// All that was submitted before is done, copies included, and what it wrote can be seen by all that follows.
void all_barrier(const DeviceApi& vk, VkCommandBuffer commands);
// What the dispatches wrote can be read by the host once the buffer is done.
void host_barrier(const DeviceApi& vk, VkCommandBuffer commands);

}  // namespace fastort::vulkan
