#pragma once

#include <cassert>
#include <memory>
#include <span>
#include <string>

#include "tensor/buffer.h"
#include "tensor/data_type.h"
#include "tensor/shape.h"

namespace fastort {

// Elements of one type in a concrete shape, row-major unless the layout says otherwise. Copies share the memory.
class Tensor {
 public:
  Tensor() = default;
  // Memory of its own, not initialised (strings are empty).
  Tensor(DataType type, Shape shape);
  // A view of `buffer` from `offset` on.
  Tensor(DataType type, Shape shape, std::shared_ptr<Buffer> buffer, size_t offset = 0);
  // One dimension, holding a copy of the items; the usual way to write an axes or shape constant.
  template <class T>
  static Tensor vector(std::span<const T> items) {
    Tensor tensor(kDataTypeOf<T>, Shape{static_cast<Dim>(items.size())});
    std::copy(items.begin(), items.end(), tensor.data<T>());
    return tensor;
  }
  template <class T>
  static Tensor scalar(T item) {
    Tensor tensor(kDataTypeOf<T>, Shape{});
    *tensor.data<T>() = item;
    return tensor;
  }

  bool empty() const noexcept { return type_ == DataType::Undefined; }
  DataType type() const noexcept { return type_; }
  const Shape& shape() const noexcept { return shape_; }
  int64_t count() const noexcept { return shape_.count(); }
  size_t bytes() const noexcept { return static_cast<size_t>(count()) * element_size(type_); }
  // The contents. Deferred ones are made where they are not there: see deferred.h for how long they then stay.
  std::byte* raw() const { return data_ || !buffer_ ? data_ : buffer_->read(); }
  // The contents' bytes, which may not be aligned for their type: for copies and digests.
  const std::byte* source() const { return data_ || !buffer_ ? data_ : buffer_->source(); }
  // The same contents in memory that stays while the result lives.
  Tensor held() const;
  // Nobody reads the contents soon: what can be made or read again is freed.
  void give_up() const noexcept;
  // Tells tensors of different memory apart.
  const void* identity() const noexcept { return data_ || !buffer_ ? static_cast<void*>(data_) : buffer_.get(); }
  const std::shared_ptr<Buffer>& buffer() const noexcept { return buffer_; }

  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(raw());
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<size_t>(count())};
  }
  std::span<const std::string> strings() const {
    return {reinterpret_cast<const std::string*>(data_), static_cast<size_t>(count())};
  }
  // The same memory under another shape of as many elements.
  Tensor reshaped(Shape shape) const;
  // Memory of its own with the same contents.
  Tensor clone() const;

 private:
  DataType type_ = DataType::Undefined;
  Shape shape_;
  std::shared_ptr<Buffer> buffer_;
  std::byte* data_ = nullptr;  // nullptr for deferred contents
};

// The items of an integer tensor (int32 or int64, any rank) as int64; throws InvalidArgument for another type.
InlineVector<int64_t, 8> to_int64s(const Tensor& tensor);

// "float[1,3,224,224]".
std::string describe(const Tensor& tensor);

}  // namespace fastort
