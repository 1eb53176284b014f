#include "providers/vulkan/commands.h"

#include "providers/vulkan/device.h"
#include "providers/vulkan/faults.h"

namespace fastort::vulkan {

Commands::Commands(const Device& device, uint32_t count) : device_(device), buffers_(count) {
  const DeviceApi& vk = device.api();
  VkCommandPoolCreateInfo pool{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool.queueFamilyIndex = device.info().queue_family;
  device.check(vk.vkCreateCommandPool(device.handle(), &pool, nullptr, &pool_), "vkCreateCommandPool");
  VkCommandBufferAllocateInfo allocate{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  allocate.commandPool = pool_;
  allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  allocate.commandBufferCount = count;
  const VkResult result = vk.vkAllocateCommandBuffers(device.handle(), &allocate, buffers_.data());
  if (result == VK_SUCCESS) return;
  vk.vkDestroyCommandPool(device.handle(), pool_, nullptr);
  device.check(result, "vkAllocateCommandBuffers");
}

Commands::~Commands() {
  if (device_.in_process()) device_.api().vkDestroyCommandPool(device_.handle(), pool_, nullptr);
}

void Commands::begin(size_t i, bool again) const {
  VkCommandBufferBeginInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  if (!again) info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  const auto injected = fault("vkBeginCommandBuffer");
  device_.check(injected ? *injected : device_.api().vkBeginCommandBuffer(buffers_[i], &info), "vkBeginCommandBuffer");
}

void Commands::end(size_t i) const {
  device_.check(device_.api().vkEndCommandBuffer(buffers_[i]), "vkEndCommandBuffer");
}

Timestamps::Timestamps(const Device& device, uint32_t count) : device_(device), count_(count) {
  VkQueryPoolCreateInfo create{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
  create.queryType = VK_QUERY_TYPE_TIMESTAMP;
  create.queryCount = count;
  device.check(device.api().vkCreateQueryPool(device.handle(), &create, nullptr, &pool_), "vkCreateQueryPool");
}

Timestamps::~Timestamps() {
  if (device_.in_process()) device_.api().vkDestroyQueryPool(device_.handle(), pool_, nullptr);
}

void Timestamps::reset(VkCommandBuffer commands) {
  nodes_.clear();
  device_.api().vkCmdResetQueryPool(commands, pool_, 0, count_);
}

void Timestamps::note(VkCommandBuffer commands, int node) {
  if (nodes_.size() == count_) return;
  device_.api().vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool_,
                                    static_cast<uint32_t>(nodes_.size()));
  nodes_.push_back(node);
}

std::vector<Timestamps::Stretch> Timestamps::read() const {
  std::vector<uint64_t> ticks(nodes_.size());
  if (ticks.empty()) return {};
  device_.check(device_.api().vkGetQueryPoolResults(device_.handle(), pool_, 0, static_cast<uint32_t>(ticks.size()),
                                                    ticks.size() * sizeof(uint64_t), ticks.data(), sizeof(uint64_t),
                                                    VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                "vkGetQueryPoolResults");
  const double period = device_.info().properties.limits.timestampPeriod;
  auto time = [&](size_t i) { return static_cast<int64_t>(static_cast<double>(ticks[i] - ticks[0]) * period); };
  std::vector<Stretch> stretches;
  for (size_t i = 1; i < ticks.size(); ++i) {
    if (nodes_[i] < 0) continue;
    if (!stretches.empty() && nodes_[i - 1] == nodes_[i])
      stretches.back().end_ns = time(i);
    else
      stretches.push_back({nodes_[i], time(i - 1), time(i)});
  }
  return stretches;
}

bool Hazards::next(const std::vector<Range>& ranges) {
  bool meets = false;
  for (const Range& range : ranges) {
    for (const Range& other : open_) {
      const bool overlap = range.begin < other.end && other.begin < range.end;
      meets |= overlap && (range.written || other.written);
    }
  }
  if (meets) open_.clear();
  open_.insert(open_.end(), ranges.begin(), ranges.end());
  return meets;
}

void shader_barrier(const DeviceApi& vk, VkCommandBuffer commands) {
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
  vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1,
                          &barrier, 0, nullptr, 0, nullptr);
}

void all_barrier(const DeviceApi& vk, VkCommandBuffer commands) {
  constexpr VkPipelineStageFlags kWork = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                          VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT;
  vk.vkCmdPipelineBarrier(commands, kWork, kWork | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0, nullptr);
}

void host_barrier(const DeviceApi& vk, VkCommandBuffer commands) {
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
  vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0,
                          nullptr, 0, nullptr);
}

}  // namespace fastort::vulkan
