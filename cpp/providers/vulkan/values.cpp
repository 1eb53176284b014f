#include "providers/vulkan/values.h"

#include <unistd.h>

#include <vector>

#include "base/error.h"
#include "base/fork.h"
#include "providers/vulkan/transfer.h"

namespace fastort::vulkan {

std::shared_ptr<ValueBuffer> ValueBuffer::make(std::shared_ptr<Device> device, size_t bytes) {
  auto memory = device->memory().allocate(Use::Device, bytes);
  device->values().add(memory);
  return std::make_shared<ValueBuffer>(std::move(device), std::move(memory), 0, bytes);
}

std::shared_ptr<ValueBuffer> ValueBuffer::find(std::shared_ptr<Device> device, uint64_t address, size_t bytes) {
  auto memory = device->values().find(address, bytes);
  if (!memory) return nullptr;
  const size_t offset = address - memory->address();
  auto buffer = std::make_shared<ValueBuffer>(std::move(device), std::move(memory), offset, bytes);
  buffer->shared_ = true;
  return buffer;
}

std::shared_ptr<ValueBuffer> ValueBuffer::make_shared(std::shared_ptr<Device> device, size_t bytes, int fd) {
  if (!device->info().shares_memory_fds)
    fail(ErrorCode::EPFail, std::string(device->info().properties.deviceName) +
                                ": its driver shares no memory through file descriptors (VK_KHR_external_memory_fd)");
  std::shared_ptr<Memory> memory;
  if (fd < 0) {
    memory = device->memory().allocate(Use::Shared, bytes);
  } else {
    const int own = dup(fd);  // the driver takes one over where it succeeds
    if (own < 0) invalid_argument("the file descriptor " + std::to_string(fd) + " is not open");
    try {
      memory = device->memory().import(own, bytes);
    } catch (...) {
      close(own);
      throw;
    }
  }
  device->values().add(memory);
  return std::make_shared<ValueBuffer>(std::move(device), std::move(memory), 0, bytes);
}

int ValueBuffer::share() const {
  if (!memory_ || shared_ || memory_->block().use != Use::Shared)
    fail(ErrorCode::InvalidArgument,
         "the value's memory cannot be shared: make it with OrtValue.shared_from_shape_and_type");
  return device_->memory().share(*memory_);
}

std::shared_ptr<ValueBuffer> ValueBuffer::request(std::shared_ptr<Device> device) {
  return std::make_shared<ValueBuffer>(std::move(device), nullptr, 0, 0);
}

ValueBuffer::ValueBuffer(std::shared_ptr<Device> device, std::shared_ptr<Memory> memory, size_t offset, size_t bytes)
    : DeviceBuffer(bytes), device_(std::move(device)), memory_(std::move(memory)), offset_(offset) {}

ValueBuffer::~ValueBuffer() {
  if (!memory_) return;
  const uint64_t address = memory_->address();
  memory_.reset();
  device_->values().remove(address);
}

void ValueBuffer::write(const std::byte* src) {
  if (memory_) upload(*device_, src, *memory_, offset_, bytes(), false);
}

void ValueBuffer::copy_to(std::byte* dst) const {
  if (memory_) download(*device_, *memory_, offset_, dst, bytes(), false);
}

void ValueBuffer::copy_from(const DeviceBuffer& src) {
  if (!memory_) return;
  if (const auto* other = dynamic_cast<const ValueBuffer*>(&src); other && other->device() == device()) {
    if (other->memory_) copy_from(*other->memory_, other->offset_);
    return;
  }
  std::vector<std::byte> between(bytes());
  src.copy_to(between.data());
  write(between.data());
}

void ValueBuffer::copy_from(const Memory& src, size_t offset) {
  copy(*device_, src, offset, *memory_, offset_, bytes(), false);
}

void ValueBuffer::copy_into(const Memory& dst, size_t offset) const {
  copy(*device_, *memory_, offset_, dst, offset, bytes(), false);
}

void ValueTable::add(const std::shared_ptr<Memory>& memory) {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  entries_[memory->address()] = memory;
}

void ValueTable::remove(uint64_t address) {
  std::lock_guard lock(mutex_);
  // Another value may have taken the place already.
  if (const auto entry = entries_.find(address); entry != entries_.end() && entry->second.expired())
    entries_.erase(entry);
}

std::shared_ptr<Memory> ValueTable::find(uint64_t address, size_t bytes) {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  auto entry = entries_.upper_bound(address);
  if (entry == entries_.begin()) return nullptr;
  auto memory = std::prev(entry)->second.lock();
  if (!memory || address + bytes < address || address + bytes > memory->address() + memory->bytes()) return nullptr;
  return memory;
}

}  // namespace fastort::vulkan
