#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace fastort {

// A 128-bit digest at about the speed of memory. It tells contents apart, and is no defence against somebody who makes
// contents collide.
class Digest {
 public:
  void add(const std::byte* data, size_t bytes);
  void add(std::string_view text) { add(reinterpret_cast<const std::byte*>(text.data()), text.size()); }
  // All that was added, in one or in several calls.
  std::string bytes() const;  // 16 of them
  std::string hex() const;

 private:
  static constexpr size_t kBlock = 32;
  void block(const std::byte* data);

  uint64_t lanes_[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::byte rest_[kBlock] = {};
  size_t rest_bytes_ = 0;
  uint64_t total_ = 0;
};

}  // namespace fastort
