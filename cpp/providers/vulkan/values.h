#pragma once

#include <map>
#include <mutex>

#include "providers/vulkan/device.h"
#include "tensor/device_buffer.h"

namespace fastort::vulkan {

// Memory of a tensor that stays on the device.
class ValueBuffer final : public DeviceBuffer {
 public:
  // Memory of its own.
  static std::shared_ptr<ValueBuffer> make(std::shared_ptr<Device> device, size_t bytes);
  // A part of such a memory by its address; nullptr where none has these bytes.
  static std::shared_ptr<ValueBuffer> find(std::shared_ptr<Device> device, uint64_t address, size_t bytes);
  // Memory that others can open by a file descriptor, or that was opened so (`fd` stays the caller's); Error where the
  // driver has none such.
  static std::shared_ptr<ValueBuffer> make_shared(std::shared_ptr<Device> device, size_t bytes, int fd = -1);
  static std::shared_ptr<ValueBuffer> request(std::shared_ptr<Device> device);

  ValueBuffer(std::shared_ptr<Device> device, std::shared_ptr<Memory> memory, size_t offset, size_t bytes);
  ~ValueBuffer() override;

  std::string_view device_name() const override { return "vulkan"; }
  int device_id() const override { return device_->info().index; }
  const void* device() const override { return device_.get(); }
  uint64_t address() const override { return memory_ ? memory_->address() + offset_ : 0; }
  size_t room() const override { return memory_ && !shared_ ? memory_->bytes() - offset_ : bytes(); }
  bool is_request() const override { return !memory_; }
  // See DeviceBuffer.
  int share() const override;
  void write(const std::byte* src) override;
  void copy_to(std::byte* dst) const override;
  void copy_from(const DeviceBuffer& src) override;
  std::shared_ptr<DeviceBuffer> allocate(size_t bytes) const override { return make(device_, bytes); }

  // Copies from and to other memory of the same device.
  void copy_from(const Memory& src, size_t offset);
  void copy_into(const Memory& dst, size_t offset) const;

 private:
  std::shared_ptr<Device> device_;
  std::shared_ptr<Memory> memory_;
  size_t offset_;
  bool shared_ = false;  // a part of another one's memory
};

// The memory of all values of a device, by address.
class ValueTable {
 public:
  void add(const std::shared_ptr<Memory>& memory);
  void remove(uint64_t address);
  // The memory that holds all of the bytes.
  std::shared_ptr<Memory> find(uint64_t address, size_t bytes);

 private:
  std::mutex mutex_;
  std::map<uint64_t, std::weak_ptr<Memory>> entries_;
};

}  // namespace fastort::vulkan
