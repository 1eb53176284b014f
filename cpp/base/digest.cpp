#include "base/digest.h"

#include <algorithm>
#include <bit>

namespace fastort {
namespace {

constexpr uint64_t kA = 0x9E3779B97F4A7C15u, kB = 0xC2B2AE3D27D4EB4Fu;

}  // namespace

// Two independent chains over four lanes of multiply and rotate.
void Digest::block(const std::byte* data) {
  uint64_t words[4];
  std::memcpy(words, data, kBlock);
  for (int i = 0; i < 4; ++i) {
    lanes_[i] = std::rotl(lanes_[i] ^ (words[i] * kB), 29) * kA;
    lanes_[i + 4] = std::rotl(lanes_[i + 4] + (words[i] ^ kA), 31) * kB;
  }
}

void Digest::add(const std::byte* data, size_t bytes) {
  if (bytes == 0) return;
  total_ += bytes;
  if (rest_bytes_) {
    const size_t taken = std::min(bytes, kBlock - rest_bytes_);
    std::memcpy(rest_ + rest_bytes_, data, taken);
    rest_bytes_ += taken;
    data += taken;
    bytes -= taken;
    if (rest_bytes_ < kBlock) return;
    block(rest_);
    rest_bytes_ = 0;
  }
  for (; bytes >= kBlock; data += kBlock, bytes -= kBlock) block(data);
  std::memcpy(rest_, data, bytes);
  rest_bytes_ = bytes;
}

std::string Digest::bytes() const {
  uint64_t tail[4] = {};
  std::memcpy(tail, rest_, rest_bytes_);
  uint64_t result[2] = {total_, ~total_};
  for (int i = 0; i < 4; ++i) {
    result[0] = std::rotl(result[0] ^ lanes_[i] ^ (tail[i] * kB), 27) * kA;
    result[1] = std::rotl(result[1] + lanes_[i + 4] + (tail[i] ^ kA), 33) * kB;
  }
  return std::string(reinterpret_cast<const char*>(result), sizeof(result));
}

std::string Digest::hex() const {
  std::string text;
  for (const char byte : bytes()) {
    text += "0123456789abcdef"[static_cast<unsigned char>(byte) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

}  // namespace fastort
