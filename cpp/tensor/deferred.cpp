#include "tensor/deferred.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/fork.h"

namespace fastort {
namespace {

thread_local ReadScope* t_scope = nullptr;

// Less is not worth the book-keeping.
constexpr size_t kMinDeferred = size_t{64} << 10;

}  // namespace

Tensor deferred(const Tensor& result, std::function<Tensor()> compute) {
  const bool own = result.buffer() && result.buffer()->data() && result.buffer()->data() == result.identity() &&
                   result.buffer()->bytes() == result.bytes() && !result.buffer()->borrowed();
  if (!own || result.type() == DataType::String || result.bytes() < kMinDeferred) return result;
  auto again = [compute = std::move(compute)] { return compute().buffer(); };
  return Tensor(result.type(), result.shape(),
                DeferredBuffer::computed(result.bytes(), result.buffer(), std::move(again)));
}

Tensor deferred(DataType type, const Shape& shape, std::function<Tensor()> compute) {
  const size_t bytes = static_cast<size_t>(shape.count()) * element_size(type);
  if (bytes < kMinDeferred) return compute();
  auto again = [compute = std::move(compute)] { return compute().buffer(); };
  return Tensor(type, shape, DeferredBuffer::computed(bytes, nullptr, std::move(again)));
}

ReadScope::ReadScope() noexcept : outer_(std::exchange(t_scope, this)) {}

ReadScope::~ReadScope() { t_scope = outer_; }

ReadScope* ReadScope::current() noexcept { return t_scope; }

void ReadScope::keep(std::shared_ptr<Buffer> contents) {
  if (std::find(kept_.begin(), kept_.end(), contents) == kept_.end()) kept_.push_back(std::move(contents));
}

// Not borrowed: the memory lasts as long as the buffer.
DeferredBuffer::DeferredBuffer(size_t bytes, Compute compute, std::shared_ptr<Buffer> now)
    : Buffer(nullptr, bytes, [] {}), compute_(std::move(compute)), kept_(std::move(now)), contents_(kept_) {}

std::shared_ptr<Buffer> DeferredBuffer::copy_of(std::span<const std::byte> source, std::shared_ptr<Buffer> lender) {
  auto copy = [source, from = lender.get()] {
    auto contents = Buffer::allocate(source.size());
    // Large copies give the source's pages back piece by piece, so that both are never there at once.
    constexpr size_t kPiece = size_t{8} << 20;
    for (size_t at = 0; at < source.size(); at += kPiece) {
      const size_t bytes = std::min(kPiece, source.size() - at);
      std::memcpy(contents->data() + at, source.data() + at, bytes);
      from->forget(source.data() + at, bytes);
    }
    return contents;
  };
  auto buffer = std::make_shared<DeferredBuffer>(source.size(), std::move(copy), nullptr);
  buffer->source_ = source;
  buffer->lender_ = std::move(lender);
  return buffer;
}

std::shared_ptr<Buffer> DeferredBuffer::computed(size_t bytes, std::shared_ptr<Buffer> now, Compute compute) {
  return std::make_shared<DeferredBuffer>(bytes, std::move(compute), std::move(now));
}

std::shared_ptr<Buffer> DeferredBuffer::hold() {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  auto contents = contents_.lock();
  if (!contents) contents_ = contents = compute_();
  return contents;
}

std::byte* DeferredBuffer::read() {
  auto contents = hold();
  std::byte* const data = contents->data();
  if (ReadScope* scope = ReadScope::current()) {
    scope->keep(std::move(contents));
    return data;
  }
  std::lock_guard lock(mutex_);
  kept_ = std::move(contents);
  for_ever_ = true;
  return data;
}

const std::byte* DeferredBuffer::source() { return source_.data() ? source_.data() : read(); }

void DeferredBuffer::drop() noexcept {
  std::shared_ptr<Buffer> dropped;  // freed outside of the lock
  {
    std::lock_guard lock(mutex_);
    if (!for_ever_) dropped = std::move(kept_);
  }
  if (lender_) lender_->forget(source_.data(), source_.size());
}

void DeferredBuffer::forget(const std::byte* begin, size_t bytes) noexcept {
  if (lender_) lender_->forget(begin, bytes);
}

}  // namespace fastort
