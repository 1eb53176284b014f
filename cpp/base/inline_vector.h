#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>

namespace fastort {

// A vector of trivially copyable items that keeps the first N inside itself.
template <class T, size_t N>
class InlineVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  InlineVector() = default;
  InlineVector(std::initializer_list<T> items) : InlineVector(std::span<const T>(items.begin(), items.size())) {}
  explicit InlineVector(std::span<const T> items) {
    resize(items.size());
    std::copy(items.begin(), items.end(), begin());
  }
  explicit InlineVector(size_t count, T fill = T{}) {
    resize(count);
    std::fill(begin(), end(), fill);
  }
  InlineVector(const InlineVector& other) : InlineVector(std::span<const T>(other.data(), other.size())) {}
  InlineVector(InlineVector&& other) noexcept
      : heap_(std::move(other.heap_)), size_(other.size_), capacity_(other.capacity_) {
    std::copy(other.inline_, other.inline_ + N, inline_);
    other.size_ = 0;
    other.capacity_ = N;
  }
  InlineVector& operator=(const InlineVector& other) {
    if (this != &other) {
      resize(other.size_);
      std::copy(other.begin(), other.end(), begin());
    }
    return *this;
  }
  InlineVector& operator=(InlineVector&& other) noexcept {
    heap_ = std::move(other.heap_);
    size_ = other.size_;
    capacity_ = other.capacity_;
    std::copy(other.inline_, other.inline_ + N, inline_);
    other.size_ = 0;
    other.capacity_ = N;
    return *this;
  }
  ~InlineVector() = default;

  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* data() noexcept { return heap_ ? heap_.get() : inline_; }
  const T* data() const noexcept { return heap_ ? heap_.get() : inline_; }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }
  const T* begin() const noexcept { return data(); }
  const T* end() const noexcept { return data() + size_; }
  T& operator[](size_t i) noexcept { return data()[i]; }
  const T& operator[](size_t i) const noexcept { return data()[i]; }
  T& back() noexcept { return data()[size_ - 1]; }
  const T& back() const noexcept { return data()[size_ - 1]; }
  operator std::span<const T>() const noexcept { return {data(), size_}; }  // NOLINT: implicit by design

  void clear() noexcept { size_ = 0; }
  void push_back(T item) {
    if (size_ == capacity_) reserve(capacity_ * 2);
    data()[size_++] = item;
  }
  void pop_back() noexcept { --size_; }
  void resize(size_t count, T fill = T{}) {
    reserve(count);
    for (size_t i = size_; i < count; ++i) data()[i] = fill;
    size_ = count;
  }
  void insert(size_t at, T item) {
    push_back(item);
    std::rotate(begin() + at, end() - 1, end());
  }
  void erase(size_t at) {
    std::copy(begin() + at + 1, end(), begin() + at);
    --size_;
  }
  void reserve(size_t capacity) {
    if (capacity <= capacity_) return;
    auto grown = std::make_unique<T[]>(capacity);
    std::copy(begin(), end(), grown.get());
    heap_ = std::move(grown);
    capacity_ = capacity;
  }
  friend bool operator==(const InlineVector& a, const InlineVector& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin());
  }

 private:
  T inline_[N] = {};
  std::unique_ptr<T[]> heap_;
  size_t size_ = 0;
  size_t capacity_ = N;
};

}  // namespace fastort
