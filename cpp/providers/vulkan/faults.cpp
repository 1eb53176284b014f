#include "providers/vulkan/faults.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace fastort::vulkan {

std::optional<VkResult> fault(std::string_view call) {
  const char* text = std::getenv("FASTORT_VULKAN_FAULT");
  if (!text) return std::nullopt;
  const std::string_view wanted = text;
  const size_t first = wanted.find(':'), second = wanted.rfind(':');
  if (first == second || wanted.substr(0, first) != call) return std::nullopt;
  static std::mutex mutex;
  static std::map<std::string, int, std::less<>> calls;
  {
    const std::lock_guard lock(mutex);
    const int number = ++calls[std::string(wanted)];
    if (number != std::atoi(std::string(wanted.substr(first + 1, second - first - 1)).c_str())) return std::nullopt;
  }
  const std::string_view kind = wanted.substr(second + 1);
  if (kind == "lost") return VK_ERROR_DEVICE_LOST;
  if (kind == "memory") return VK_ERROR_OUT_OF_DEVICE_MEMORY;
  if (kind == "timeout") return VK_TIMEOUT;
  return std::nullopt;
}

}  // namespace fastort::vulkan
