#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/record_file.h"
#include "providers/vulkan/api.h"
#include "providers/vulkan/shaders.h"

namespace fastort::vulkan {

class Device;

// The head of every shader's push block: where the table of addresses lies, and the dispatch's first entry in it.
struct PushHead {
  uint64_t table = 0;
  uint32_t first = 0;
  uint32_t unused = 0;
};
inline constexpr uint32_t kPushBytes = 128;

// Compute pipelines by shader and specialization constants, made on first use and kept with the device. What the driver
// compiled is kept on disk between processes.
class Pipelines {
 public:
  // `cache_dir`: empty for the user's cache folder, "off" for none.
  Pipelines(const Device& device, const std::string& cache_dir);
  ~Pipelines();

  VkPipeline get(std::string_view shader, const std::vector<uint32_t>& constants);
  VkPipelineLayout layout() const { return layout_; }
  // The ways to compute that were measured on the device, kept beside the cache file.
  RecordFile& choices() { return choices_; }
  // Names the device, its driver and the shaders.
  const std::string& device_key() const { return device_key_; }
  // Writes the cache file where pipelines were added since the last time.
  void save() noexcept;

 private:
  VkPipeline make(const Shader& shader, const std::vector<uint32_t>& constants);
  std::vector<char> load() const;

  const Device& device_;
  const std::string device_key_;
  const std::string path_;  // of the cache file; empty for none
  RecordFile choices_;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::vector<uint32_t>>, VkPipeline> pipelines_;
  std::map<std::string, VkShaderModule, std::less<>> modules_;
  bool changed_ = false;
};

}  // namespace fastort::vulkan
