#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace fastort {

// Every allocation of tensor memory is aligned to a cache line.
inline constexpr size_t kAlignment = 64;
constexpr size_t align_up(size_t bytes, size_t to = kAlignment) { return (bytes + to - 1) / to * to; }

// A block of memory with one owner of its lifetime: allocated here, taken from a pool, or lent by somebody else (a
// NumPy array, a memory-mapped file), in which case `release` tells the lender that it is free again.
class Buffer {
 public:
  // Memory from the system; throws Error(Fail) with the size where there is none.
  static std::shared_ptr<Buffer> allocate(size_t bytes);
  // Memory that belongs to somebody else until `release` is called.
  static std::shared_ptr<Buffer> wrap(void* data, size_t bytes, std::function<void()> release = {});

  Buffer(std::byte* data, size_t bytes, std::function<void()> release);
  virtual ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const noexcept { return data_; }
  size_t bytes() const noexcept { return bytes_; }
  // True for memory lent without a `release`: it lasts for one call only, and is copied by whoever keeps it longer.
  bool borrowed() const noexcept { return !release_; }

  // The contents, made first where they are deferred (see deferred.h), for whose memory data() is nullptr.
  virtual std::byte* read() { return data_; }
  // The same for reading bytes alone: where the contents lie now, which may be at any address.
  virtual const std::byte* source() { return data_; }
  // Deferred contents for as long as the result lives; nullptr for all other memory, which is always there.
  virtual std::shared_ptr<Buffer> hold() { return nullptr; }
  // Deferred contents are made again for the next reader; nobody asks for them soon.
  virtual void drop() noexcept {}
  // Pages of a mapped file go back to the system, and are read again by whoever touches them.
  virtual void forget(const std::byte* begin, size_t bytes) noexcept;

 private:
  std::byte* data_;
  size_t bytes_;
  std::function<void()> release_;
};

// A bounded, thread-safe store of blocks that are handed out again instead of going back to the system. Steady-state
// outputs come from here.
class BufferPool {
 public:
  static BufferPool& instance();
  // A block of at least `bytes`, 64-byte aligned; the caller owns it until `give`.
  void* take(size_t bytes, size_t* capacity);
  void give(void* data, size_t capacity) noexcept;
  // Frees what is idle; returns the bytes freed.
  size_t trim() noexcept;
  size_t idle_bytes() const noexcept;
  explicit BufferPool(size_t max_idle_bytes);
  ~BufferPool();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastort
