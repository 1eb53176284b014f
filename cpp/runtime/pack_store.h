#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "ops/op.h"

namespace fastort {

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
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace fastort
