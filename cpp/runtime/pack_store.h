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
  // The same with a folder where what is packed is kept (nullptr: none), in large pages if they are wanted.
  std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes, FnRef<void(std::byte*)> fill,
                              PackCache* cache, bool huge_pages = false);
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

// The process's packed weights, for a session with wishes of its own: a folder where it keeps what it packs, too
// (nullptr: none), and large pages.
class SessionPackStore final : public PackStore {
 public:
  SessionPackStore(std::shared_ptr<PackCache> cache, bool huge_pages)
      : cache_(std::move(cache)), huge_pages_(huge_pages) {}
  std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes,
                              FnRef<void(std::byte*)> fill) override {
    return SharedPackStore::instance().get(weight, format, bytes, fill, cache_.get(), huge_pages_);
  }
  // What was learnt of files is written to the folder.
  void settle() {
    if (cache_) cache_->settle();
  }

 private:
  std::shared_ptr<PackCache> cache_;
  bool huge_pages_;
};

}  // namespace fastort
