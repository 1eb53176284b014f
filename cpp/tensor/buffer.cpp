#include "tensor/buffer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#if defined(_WIN32)
#include <malloc.h>
#endif

#include "base/error.h"

namespace fastort {
namespace {

constexpr size_t kMaxBytes = static_cast<size_t>(std::numeric_limits<ptrdiff_t>::max()) - 4096;

void* system_allocate(size_t bytes) {
  void* data = nullptr;
  if (bytes <= kMaxBytes) {
    const size_t whole = align_up(std::max<size_t>(bytes, 1));
#if defined(_WIN32)
    data = _aligned_malloc(whole, kAlignment);
#else
    data = std::aligned_alloc(kAlignment, whole);
#endif
  }
  if (data == nullptr) {
    fail(ErrorCode::Fail,
         "out of memory: " + std::to_string(bytes) +
             " bytes for a tensor could not be allocated; a smaller batch or smaller inputs need less");
  }
  return data;
}

void system_free(void* data) noexcept {
#if defined(_WIN32)
  _aligned_free(data);
#else
  std::free(data);
#endif
}

}  // namespace

std::shared_ptr<Buffer> Buffer::allocate(size_t bytes) {
  struct Free {
    void operator()(void* data) const noexcept { system_free(data); }
  };
  std::unique_ptr<void, Free> data(system_allocate(bytes));
  void* raw = data.get();
  auto buffer = std::make_shared<Buffer>(static_cast<std::byte*>(raw), bytes, [raw] { system_free(raw); });
  data.release();
  return buffer;
}

std::shared_ptr<Buffer> Buffer::wrap(void* data, size_t bytes, std::function<void()> release) {
  return std::make_shared<Buffer>(static_cast<std::byte*>(data), bytes, std::move(release));
}

Buffer::Buffer(std::byte* data, size_t bytes, std::function<void()> release)
    : data_(data), bytes_(bytes), release_(std::move(release)) {}

Buffer::~Buffer() {
  if (!release_) return;
  try {
    release_();
  } catch (...) {
    return;  // the lender's failure to take its memory back cannot be told to anybody from here
  }
}

void Buffer::forget(const std::byte*, size_t) noexcept {}

// Blocks are kept by size class, four classes to each power of two. A place in a class is one atomic
// pointer: taking exchanges it with null and giving fills an empty one, so nobody waits and nothing can be taken twice.
struct BufferPool::Impl {
  static constexpr int kMinLog2 = 6;
  static constexpr int kMaxLog2 = 40;
  static constexpr int kClasses = (kMaxLog2 - kMinLog2) * 4 + 1;
  static constexpr int kPlaces = 64;  // a decoder has dozens of outputs of one size

  explicit Impl(size_t max_idle) : max_idle_bytes(max_idle) {}

  const size_t max_idle_bytes;
  std::atomic<size_t> idle_bytes{0};
  std::array<std::array<std::atomic<void*>, kPlaces>, kClasses> places{};

  static constexpr size_t class_bytes(int index) {
    return (size_t{4} + static_cast<size_t>(index % 4)) << (index / 4 + kMinLog2 - 2);
  }
  // The smallest class of at least `bytes`, or -1 where there is none.
  static int class_of(size_t bytes) {
    if (bytes <= class_bytes(0)) return 0;
    if (bytes > class_bytes(kClasses - 1)) return -1;
    const int log2 = std::bit_width(bytes - 1) - 1;
    const size_t quarter = (bytes - 1) >> (log2 - 2);  // 4..7
    return (log2 - kMinLog2) * 4 + static_cast<int>(quarter) - 4 + 1;
  }
};

BufferPool& BufferPool::instance() {
  // Never destroyed: arrays of the application may outlive every static object.
  static BufferPool* const kPool = new BufferPool(size_t{128} << 20);
  return *kPool;
}

BufferPool::BufferPool(size_t max_idle_bytes) : impl_(std::make_unique<Impl>(max_idle_bytes)) {}

BufferPool::~BufferPool() { trim(); }

void* BufferPool::take(size_t bytes, size_t* capacity) {
  const int index = Impl::class_of(bytes);
  if (index < 0) {
    *capacity = bytes;
    return system_allocate(bytes);
  }
  *capacity = Impl::class_bytes(index);
  for (std::atomic<void*>& place : impl_->places[static_cast<size_t>(index)]) {
    if (place.load(std::memory_order_relaxed) == nullptr) continue;
    if (void* data = place.exchange(nullptr, std::memory_order_acquire)) {
      impl_->idle_bytes.fetch_sub(*capacity, std::memory_order_relaxed);
      return data;
    }
  }
  return system_allocate(*capacity);
}

void BufferPool::give(void* data, size_t capacity) noexcept {
  if (data == nullptr) return;
  const int index = Impl::class_of(capacity);
  if (index < 0 || Impl::class_bytes(index) != capacity) return system_free(data);
  // The bytes are booked before the block is placed, so that the bound holds at every moment.
  size_t idle = impl_->idle_bytes.load(std::memory_order_relaxed);
  do {
    if (capacity > impl_->max_idle_bytes || idle > impl_->max_idle_bytes - capacity) return system_free(data);
  } while (!impl_->idle_bytes.compare_exchange_weak(idle, idle + capacity, std::memory_order_relaxed));
  for (std::atomic<void*>& place : impl_->places[static_cast<size_t>(index)]) {
    void* empty = nullptr;
    if (place.compare_exchange_strong(empty, data, std::memory_order_release, std::memory_order_relaxed)) return;
  }
  impl_->idle_bytes.fetch_sub(capacity, std::memory_order_relaxed);
  system_free(data);
}

size_t BufferPool::trim() noexcept {
  size_t freed = 0;
  for (int index = 0; index < Impl::kClasses; ++index) {
    for (std::atomic<void*>& place : impl_->places[static_cast<size_t>(index)]) {
      if (void* data = place.exchange(nullptr, std::memory_order_acquire)) {
        system_free(data);
        freed += Impl::class_bytes(index);
      }
    }
  }
  impl_->idle_bytes.fetch_sub(freed, std::memory_order_relaxed);
  return freed;
}

size_t BufferPool::idle_bytes() const noexcept { return impl_->idle_bytes.load(std::memory_order_relaxed); }

}  // namespace fastort
