#pragma once

#include <cstddef>

#include "providers/vulkan/device.h"

namespace fastort::vulkan {

// Copies between the host and the device, done when the call returns. `staged`: through staging memory and a command,
// also where the host could reach the memory.
void upload(Device& device, const std::byte* src, const Memory& dst, size_t offset, size_t bytes, bool staged);
void download(Device& device, const Memory& src, size_t offset, std::byte* dst, size_t bytes, bool staged);
// The ranges may overlap.
void copy(Device& device, const Memory& src, size_t src_offset, const Memory& dst, size_t dst_offset, size_t bytes,
          bool staged);

}  // namespace fastort::vulkan
