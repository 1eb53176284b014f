#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace fastort {

// Contents that are made when somebody reads them, and can be made again: a weight that lies unaligned in a mapped
// file, or one that is computed from others. Readers have three ways:
// - `hold` keeps the contents for as long as the result lives,
// - a `read` inside of a ReadScope keeps them until the scope ends,
// - any other `read` keeps them as long as the buffer itself, so that an address once read stays good.
class DeferredBuffer final : public Buffer {
 public:
  using Compute = std::function<std::shared_ptr<Buffer>()>;

  // A copy of `source`, which `lender` keeps alive and which may lie at any address.
  static std::shared_ptr<Buffer> copy_of(std::span<const std::byte> source, std::shared_ptr<Buffer> lender);
  // What `compute` returns, every time the same. `now` are the contents where they are there, kept until `drop`.
  static std::shared_ptr<Buffer> computed(size_t bytes, std::shared_ptr<Buffer> now, Compute compute);

  DeferredBuffer(size_t bytes, Compute compute, std::shared_ptr<Buffer> now);

  std::byte* read() override;
  const std::byte* source() override;
  std::shared_ptr<Buffer> hold() override;
  void drop() noexcept override;
  void forget(const std::byte* begin, size_t bytes) noexcept override;

 private:
  Compute compute_;
  std::span<const std::byte> source_;
  std::shared_ptr<Buffer> lender_;

  std::mutex mutex_;
  std::shared_ptr<Buffer> kept_;    // until `drop`, or for ever
  std::weak_ptr<Buffer> contents_;  // as long as any reader holds them
  bool for_ever_ = false;
};

// A tensor with the contents of `result`, whose memory may be given up and is then computed again. Small results stay
// as they are, and so do views of other memory.
Tensor deferred(const Tensor& result, std::function<Tensor()> compute);

// The tensor that `compute` makes, which is called when the contents are first read; at once for a small one.
Tensor deferred(DataType type, const Shape& shape, std::function<Tensor()> compute);

// While one lives, what its thread reads of deferred contents stays until the scope ends. Scopes nest; the innermost
// one holds.
class ReadScope {
 public:
  ReadScope() noexcept;
  ~ReadScope();
  ReadScope(const ReadScope&) = delete;
  ReadScope& operator=(const ReadScope&) = delete;

  // nullptr where the thread is in none.
  static ReadScope* current() noexcept;
  void keep(std::shared_ptr<Buffer> contents);

 private:
  ReadScope* outer_;
  std::vector<std::shared_ptr<Buffer>> kept_;
};

}  // namespace fastort
