#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "ops/op.h"
#include "runtime/pack_cache.h"

namespace fastort {

// Packed weights of this process: equal contents in the same format are held once, as long as a plan uses them.
class SharedPackStore final : public PackStore {
 public:
  static SharedPackStore& instance();
  std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes,
                              FnRef<void(std::byte*)> fill) override {
    return get(weight, format, bytes, fill, nullptr);
  }
  // The same with a folder where what is packed is kept; nullptr: none.
  std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes, FnRef<void(std::byte*)> fill,
                              PackCache* cache);
  size_t bytes() const;

 private:
  struct Entry {
    std::mutex filling;            // held by who packs; taken before mutex_
    std::weak_ptr<Buffer> packed;  // under mutex_
  };
  struct Known {
    std::weak_ptr<Buffer> buffer;
    size_t bytes = 0;
    std::string digest;
  };
  // Reads the contents once for as long as their buffer lives, and not at all where the folder tells what they are.
  std::string digest(const Tensor& weight, PackCache* cache);

  mutable std::mutex mutex_;
  std::unordered_map<const void*, Known> digests_;  // by Tensor::identity
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
};

// The process's packed weights, for a session that keeps what it packs in a folder too.
class CachedPackStore final : public PackStore {
 public:
  explicit CachedPackStore(std::shared_ptr<PackCache> cache) : cache_(std::move(cache)) {}
  std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes,
                              FnRef<void(std::byte*)> fill) override {
    return SharedPackStore::instance().get(weight, format, bytes, fill, cache_.get());
  }
  // What was learnt of files is written to the folder.
  void settle() { cache_->settle(); }

 private:
  std::shared_ptr<PackCache> cache_;
};

}  // namespace fastort
