#include "providers/vulkan/pipelines.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/fork.h"
#include "providers/vulkan/device.h"
#include "providers/vulkan/matrices.h"

namespace fastort::vulkan {
namespace {

uint64_t hash_bytes(const void* data, size_t bytes, uint64_t hash = 0xcbf29ce484222325u) {
  const auto* at = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ at[i]) * 0x100000001b3u;
  return hash;
}

std::string hex(uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(number));
  return text;
}

std::string user_cache() {
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder && *folder) return std::string(folder) + "/fastort";
  if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + "/.cache/fastort";
  return {};
}

// Names the device, its driver and the shaders: a file of others is never read.
std::string key_of(const VkPhysicalDeviceProperties& properties) {
  uint64_t device = hash_bytes(properties.pipelineCacheUUID, VK_UUID_SIZE);
  device = hash_bytes(&properties.driverVersion, sizeof(properties.driverVersion), device);
  device = hash_bytes(&properties.deviceID, sizeof(properties.deviceID), device);
  device = hash_bytes(&properties.vendorID, sizeof(properties.vendorID), device);
  device = hash_bytes(properties.deviceName, std::strlen(properties.deviceName), device);
  uint64_t code = hash_bytes("", 0);
  for (const Shader& shader : shaders()) code = hash_bytes(shader.code.data(), shader.code.size_bytes(), code);
  return hex(device) + "-" + hex(code);
}

// A file of the cache without its suffix; empty for none.
std::string file_of(const std::string& cache_dir, const std::string& key) {
  const std::string folder = cache_dir.empty() ? user_cache() : cache_dir;
  return folder.empty() || folder == "off" ? std::string() : folder + "/vulkan-" + key;
}

std::string with_suffix(const std::string& path, std::string_view suffix) {
  return path.empty() ? path : path + std::string(suffix);
}

constexpr size_t kMostChoiceBytes = size_t{4} << 20;

}  // namespace

Pipelines::Pipelines(const Device& device, const std::string& cache_dir)
    : device_(device),
      device_key_(key_of(device.info().properties)),
      path_(with_suffix(file_of(cache_dir, device_key_), ".bin")),
      choices_(with_suffix(file_of(cache_dir, device_key_), RecordFile::kSuffix), kMostChoiceBytes) {
  const DeviceApi& vk = device.api();
  VkPushConstantRange range{VK_SHADER_STAGE_COMPUTE_BIT, 0, kPushBytes};
  VkPipelineLayoutCreateInfo layout{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  layout.pushConstantRangeCount = 1;
  layout.pPushConstantRanges = &range;
  device.check(vk.vkCreatePipelineLayout(device.handle(), &layout, nullptr, &layout_), "vkCreatePipelineLayout");
  const std::vector<char> kept = load();
  VkPipelineCacheCreateInfo cache{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  cache.initialDataSize = kept.size();
  cache.pInitialData = kept.data();
  if (vk.vkCreatePipelineCache(device.handle(), &cache, nullptr, &cache_) != VK_SUCCESS) {
    // The driver does not like the file: begin anew.
    cache.initialDataSize = 0;
    device.check(vk.vkCreatePipelineCache(device.handle(), &cache, nullptr, &cache_), "vkCreatePipelineCache");
  }
}

Pipelines::~Pipelines() {
  save();
  const DeviceApi& vk = device_.api();
  for (const auto& [key, pipeline] : pipelines_) vk.vkDestroyPipeline(device_.handle(), pipeline, nullptr);
  for (const auto& [name, module] : modules_) vk.vkDestroyShaderModule(device_.handle(), module, nullptr);
  vk.vkDestroyPipelineCache(device_.handle(), cache_, nullptr);
  vk.vkDestroyPipelineLayout(device_.handle(), layout_, nullptr);
}

// The file is the driver's data behind a hash of it: what a crash or a full disk left behind is not handed to a driver.
std::vector<char> Pipelines::load() const {
  if (path_.empty()) return {};
  std::ifstream file(path_, std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  uint64_t hash = 0;
  if (bytes.size() < sizeof(hash)) return {};
  std::memcpy(&hash, bytes.data(), sizeof(hash));
  bytes.erase(bytes.begin(), bytes.begin() + sizeof(hash));
  if (hash != hash_bytes(bytes.data(), bytes.size())) return {};
  return bytes;
}

void Pipelines::save() noexcept {
  try {
    std::lock_guard lock(mutex_);
    if (path_.empty() || !changed_) return;
    changed_ = false;
    const DeviceApi& vk = device_.api();
    size_t bytes = 0;
    if (vk.vkGetPipelineCacheData(device_.handle(), cache_, &bytes, nullptr) != VK_SUCCESS || bytes == 0) return;
    std::vector<char> data(bytes);
    if (vk.vkGetPipelineCacheData(device_.handle(), cache_, &bytes, data.data()) != VK_SUCCESS) return;
    data.resize(bytes);
    const uint64_t hash = hash_bytes(data.data(), data.size());
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    const std::string fresh = path_ + "." + std::to_string(getpid());
    {
      std::ofstream file(fresh, std::ios::binary | std::ios::trunc);
      file.write(reinterpret_cast<const char*>(&hash), sizeof(hash));
      file.write(data.data(), static_cast<std::streamsize>(data.size()));
      if (!file.good()) {
        std::filesystem::remove(fresh);
        return;
      }
    }
    std::filesystem::rename(fresh, path_);
  } catch (...) {
    // A cache that cannot be written is no reason to fail.
  }
}

VkPipeline Pipelines::get(std::string_view name, const std::vector<uint32_t>& constants) {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  VkPipeline& pipeline = pipelines_[{std::string(name), constants}];
  if (pipeline) return pipeline;
  const auto table = shaders();
  const auto shader = std::find_if(table.begin(), table.end(), [&](const Shader& s) { return s.name == name; });
  if (shader == table.end()) fail(ErrorCode::Fail, "there is no shader '" + std::string(name) + "'");
  changed_ = true;
  return pipeline = make(*shader, constants);
}

VkPipeline Pipelines::make(const Shader& shader, const std::vector<uint32_t>& constants) {
  const DeviceApi& vk = device_.api();
  VkShaderModule& module = modules_[std::string(shader.name)];
  if (!module) {
    VkShaderModuleCreateInfo info{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
    info.codeSize = shader.code.size_bytes();
    info.pCode = shader.code.data();
    device_.check(vk.vkCreateShaderModule(device_.handle(), &info, nullptr, &module), "vkCreateShaderModule");
  }
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < constants.size(); ++i) entries.push_back({i, i * 4, 4});
  VkSpecializationInfo special{static_cast<uint32_t>(entries.size()), entries.data(), constants.size() * 4,
                               constants.data()};
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT;  // long dispatches are cut
  info.stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO};
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &special;
  // Matrices are spread over a whole subgroup of the width that the recipe counted with.
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT width{
      VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT};
  width.requiredSubgroupSize = device_.info().traits.subgroup;
  if (device_.info().holds_subgroup_width && uses_matrices(shader.code)) {
    info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
    info.stage.pNext = &width;
  }
  info.layout = layout_;
  VkPipeline pipeline = VK_NULL_HANDLE;
  device_.check(vk.vkCreateComputePipelines(device_.handle(), cache_, 1, &info, nullptr, &pipeline),
                "vkCreateComputePipelines");
  return pipeline;
}

}  // namespace fastort::vulkan
