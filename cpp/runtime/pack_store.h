#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "ops/op.h"

namespace fastort {

// Of a tensor's contents.
struct PackDigest {
  uint64_t low = 0;
  uint64_t high = 0;
};

// Packed weights of this process: equal contents in the same format are held once, as long as a plan uses them.
class SharedPackStore final : public PackStore {
 public:
  static SharedPackStore& instance();
  std::shared_ptr<Buffer> get(const Tensor& weight, std::string_view format, size_t bytes,
                              FnRef<void(std::byte*)> fill) override;
  size_t bytes() const;

 private:
  struct Entry {
    std::mutex filling;
    std::weak_ptr<Buffer> packed;
  };
  struct Known {
    std::weak_ptr<Buffer> buffer;
    size_t bytes = 0;
    PackDigest digest;
  };
  // Reads the contents once for as long as their buffer lives.
  PackDigest digest(const Tensor& weight);

  mutable std::mutex mutex_;
  std::unordered_map<const void*, Known> digests_;  // by Tensor::identity
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace fastort
