#pragma once

#include <optional>
#include <string_view>

#include "providers/vulkan/api.h"

namespace fastort::vulkan {

// What a call of Vulkan is to return instead of being made, for tests of what follows. The environment variable
// FASTORT_VULKAN_FAULT says which: "vkWaitSemaphores:3:lost" lets the third call of the process fail (and no other),
// the last word being "lost", "memory" or "timeout".
std::optional<VkResult> fault(std::string_view call);

}  // namespace fastort::vulkan
