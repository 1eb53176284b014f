#pragma once

#include <cstdint>
#include <string_view>

#include "tensor/tensor.h"

namespace fastort {

// Memory of a device beside the CPU. The host has no pointer to it: `data()` is nullptr, and reading it by accident is
// an Error. Whoever holds it keeps the device open.
class DeviceBuffer : public Buffer {
 public:
  explicit DeviceBuffer(size_t bytes) : Buffer(nullptr, bytes, [] {}) {}

  virtual std::string_view device_name() const = 0;  // "vulkan"
  virtual int device_id() const = 0;
  // The open device: memory of the same one can be used side by side.
  virtual const void* device() const = 0;
  virtual uint64_t address() const = 0;  // on the device
  // Bytes from the address on that belong to nobody else: at least bytes().
  virtual size_t room() const = 0;
  // True for memory of no use: a result in its place is to be made on this device.
  virtual bool is_request() const = 0;

  // Copies bytes() bytes, and returns when that is done.
  virtual void write(const std::byte* src) = 0;
  virtual void copy_to(std::byte* dst) const = 0;
  // `src` is as large as this and may lie on another device.
  virtual void copy_from(const DeviceBuffer& src) = 0;
  virtual std::shared_ptr<DeviceBuffer> allocate(size_t bytes) const = 0;
  // A file descriptor by which others open the memory, the caller's to close; Error where it was not made for that.
  virtual int share() const = 0;

  std::byte* read() override;
  const std::byte* source() override { return read(); }
};

// The memory behind a tensor that lies on a device; nullptr for any other.
DeviceBuffer* device_buffer(const Tensor& tensor) noexcept;

// Whether the tensor only says where a result shall lie: see DeviceBuffer::is_request().
bool is_request(const Tensor& tensor) noexcept;

// Contents of any tensor in memory of the host: the tensor itself where it lies there.
Tensor on_host(const Tensor& tensor);
// The same contents in new memory of the same device.
Tensor copy_of(const Tensor& tensor);
// The tensor in new memory of the device that `like` lies on.
Tensor on_device(const Tensor& tensor, const DeviceBuffer& like);
// A tensor for results that shall lie on the buffer's device, whatever their type and shape.
inline Tensor request_for(std::shared_ptr<DeviceBuffer> request) { return {DataType::UInt8, {0}, std::move(request)}; }

}  // namespace fastort
