#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"

namespace fastort {
namespace {

// Bytes of a tensor's memory; throws where the shape is not concrete or too large for any machine.
size_t checked_bytes(DataType type, const Shape& shape) {
  const size_t element = element_size(type);
  if (element == 0) invalid_argument("a tensor needs an element type");
  const std::optional<int64_t> count = checked_count(shape);
  const auto limit = static_cast<size_t>(std::numeric_limits<ptrdiff_t>::max());
  if (!count || static_cast<size_t>(*count) > limit / element) {
    invalid_argument("a tensor of type " + std::string(name(type)) + " and shape " + to_string(shape) +
                     " cannot be held in memory: its sizes are negative or too large");
  }
  return static_cast<size_t>(*count) * element;
}

std::shared_ptr<Buffer> allocate_strings(size_t count) {
  std::shared_ptr<Buffer> memory = Buffer::allocate(count * sizeof(std::string));
  auto* first = reinterpret_cast<std::string*>(memory->data());
  // The wrapper is made before the strings, so that a failure to make it leaves none behind.
  auto alive = std::make_shared<size_t>(0);
  auto buffer =
      Buffer::wrap(memory->data(), memory->bytes(), [memory, alive, first] { std::destroy_n(first, *alive); });
  std::uninitialized_value_construct_n(first, count);
  *alive = count;
  return buffer;
}

}  // namespace

Tensor::Tensor(DataType type, Shape shape) : type_(type), shape_(std::move(shape)) {
  const size_t bytes = checked_bytes(type_, shape_);
  buffer_ = type_ == DataType::String ? allocate_strings(bytes / sizeof(std::string)) : Buffer::allocate(bytes);
  data_ = buffer_->data();
}

Tensor::Tensor(DataType type, Shape shape, std::shared_ptr<Buffer> buffer, size_t offset)
    : type_(type), shape_(std::move(shape)), buffer_(std::move(buffer)) {
  const size_t bytes = checked_bytes(type_, shape_);
  if (!buffer_ || offset > buffer_->bytes() || bytes > buffer_->bytes() - offset) {
    invalid_argument("a tensor of type " + std::string(name(type_)) + " and shape " + to_string(shape_) + " needs " +
                     std::to_string(bytes) + " bytes from offset " + std::to_string(offset) +
                     " on, but its memory has " + std::to_string(buffer_ ? buffer_->bytes() : 0));
  }
  if (offset != 0 && !buffer_->data()) {
    if (auto contents = buffer_->hold()) buffer_ = std::move(contents);
  }
  data_ = buffer_->data() ? buffer_->data() + offset : nullptr;
}

Tensor Tensor::reshaped(Shape shape) const {
  const std::optional<int64_t> count = checked_count(shape);
  if (!count || *count != this->count()) {
    invalid_argument("a tensor " + describe(*this) + " cannot be given the shape " + to_string(shape) +
                     ": the number of elements differs");
  }
  Tensor view = *this;
  view.shape_ = std::move(shape);
  return view;
}

Tensor Tensor::held() const {
  Tensor tensor = *this;
  if (data_ || !buffer_) return tensor;
  if (auto contents = buffer_->hold()) {
    tensor.data_ = contents->data();
    tensor.buffer_ = std::move(contents);
  }
  return tensor;
}

void Tensor::give_up() const noexcept {
  if (data_) {
    buffer_->forget(data_, bytes());
  } else if (buffer_) {
    buffer_->drop();
  }
}

Tensor Tensor::clone() const {
  if (empty()) return {};
  if (!data_ && buffer_ && buffer_->bytes() != 0) {
    const Tensor contents = held();
    if (contents.data_) return contents.clone();
  }
  Tensor copy(type_, shape_);
  if (type_ == DataType::String) {
    std::copy(strings().begin(), strings().end(), copy.data<std::string>());
  } else if (const size_t size = bytes(); size != 0) {
    std::memcpy(copy.raw(), data_, size);
  }
  return copy;
}

InlineVector<int64_t, 8> to_int64s(const Tensor& tensor) {
  InlineVector<int64_t, 8> items;
  const auto copy = [&]<class T>(std::span<const T> from) {
    items.resize(from.size());
    std::copy(from.begin(), from.end(), items.begin());
  };
  if (tensor.type() == DataType::Int64) {
    copy(tensor.span<int64_t>());
  } else if (tensor.type() == DataType::Int32) {
    copy(tensor.span<int32_t>());
  } else {
    invalid_argument("expected a tensor of int64 or int32, got " + describe(tensor));
  }
  return items;
}

std::string describe(const Tensor& tensor) { return std::string(name(tensor.type())) + to_string(tensor.shape()); }

}  // namespace fastort
