#include "tensor/device_buffer.h"

#include "base/error.h"

namespace fastort {

std::byte* DeviceBuffer::read() {
  fail(ErrorCode::RuntimeException, "a tensor on the device '" + std::string(device_name()) + ":" +
                                        std::to_string(device_id()) +
                                        "' is read by the CPU, which has no pointer to it: copy it with .numpy()");
}

DeviceBuffer* device_buffer(const Tensor& tensor) noexcept {
  Buffer* buffer = tensor.buffer().get();
  return buffer && !buffer->data() ? dynamic_cast<DeviceBuffer*>(buffer) : nullptr;
}

bool is_request(const Tensor& tensor) noexcept {
  const DeviceBuffer* buffer = device_buffer(tensor);
  return buffer && buffer->is_request();
}

Tensor on_host(const Tensor& tensor) {
  const DeviceBuffer* buffer = device_buffer(tensor);
  if (!buffer) return tensor;
  Tensor copy(tensor.type(), tensor.shape());
  if (tensor.bytes()) buffer->copy_to(copy.raw());
  return copy;
}

Tensor copy_of(const Tensor& tensor) {
  const DeviceBuffer* buffer = device_buffer(tensor);
  if (!buffer) return tensor.clone();
  auto fresh = buffer->allocate(tensor.bytes());
  if (tensor.bytes()) fresh->copy_from(*buffer);
  return Tensor(tensor.type(), tensor.shape(), std::move(fresh));
}

Tensor on_device(const Tensor& tensor, const DeviceBuffer& like) {
  auto fresh = like.allocate(tensor.bytes());
  if (tensor.bytes() == 0) {
  } else if (const DeviceBuffer* from = device_buffer(tensor)) {
    fresh->copy_from(*from);
  } else {
    fresh->write(tensor.raw());
  }
  return Tensor(tensor.type(), tensor.shape(), std::move(fresh));
}

}  // namespace fastort
