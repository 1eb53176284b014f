#include "providers/vulkan/host_import.h"

#include <unistd.h>

#include "providers/vulkan/device.h"

namespace fastort::vulkan {
namespace {

constexpr VkExternalMemoryHandleTypeFlagBits kHandle = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
// Shaders read units of so many bytes.
constexpr uintptr_t kUnit = 16;

}  // namespace

std::unique_ptr<HostImport> HostImport::make(Device& device, const std::byte* data, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(data);
  const size_t align = device.info().import_alignment;
  if (align == 0 || bytes < kMinBytes || at % kUnit != 0) return nullptr;
  // Whole pages are imported: what else lies on the first and the last one is mapped as well, and nobody looks at it.
  const uintptr_t begin = at / align * align, end = (at + bytes + align - 1) / align * align;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  if (align > page && (begin != at || end != at + bytes)) return nullptr;
  std::unique_ptr<HostImport> made(new HostImport(device));
  if (!made->open(reinterpret_cast<std::byte*>(begin), end - begin)) return nullptr;
  made->address_ += at - begin;
  if (made->address_ % kUnit != 0) return nullptr;
  return made;
}

bool HostImport::open(std::byte* begin, size_t bytes) {
  const DeviceApi& vk = device_.api();
  VkExternalMemoryBufferCreateInfo external{VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO};
  external.handleTypes = kHandle;
  VkBufferCreateInfo create{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, &external};
  create.size = bytes;
  create.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  if (vk.vkCreateBuffer(device_.handle(), &create, nullptr, &buffer_) != VK_SUCCESS) return false;
  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(device_.handle(), buffer_, &needs);
  VkMemoryHostPointerPropertiesEXT pointer{VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
  if (vk.vkGetMemoryHostPointerPropertiesEXT(device_.handle(), kHandle, begin, &pointer) != VK_SUCCESS) return false;
  if (needs.size > bytes) return false;

  VkImportMemoryHostPointerInfoEXT import{VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT};
  import.handleType = kHandle;
  import.pHostPointer = begin;
  VkMemoryAllocateFlagsInfo flags{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, &import};
  flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
  VkMemoryAllocateInfo allocate{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &flags};
  allocate.allocationSize = bytes;
  const auto type = device_.memory().coherent_type(needs.memoryTypeBits & pointer.memoryTypeBits);
  if (!type) return false;
  allocate.memoryTypeIndex = *type;
  if (vk.vkAllocateMemory(device_.handle(), &allocate, nullptr, &memory_) != VK_SUCCESS) return false;
  if (vk.vkBindBufferMemory(device_.handle(), buffer_, memory_, 0) != VK_SUCCESS) return false;
  VkBufferDeviceAddressInfo address{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO};
  address.buffer = buffer_;
  address_ = vk.vkGetBufferDeviceAddress(device_.handle(), &address);
  return address_ != 0;
}

HostImport::~HostImport() {
  if (!device_.in_process()) return;
  const DeviceApi& vk = device_.api();
  if (buffer_) vk.vkDestroyBuffer(device_.handle(), buffer_, nullptr);
  if (memory_) vk.vkFreeMemory(device_.handle(), memory_, nullptr);
}

}  // namespace fastort::vulkan
