#include "runtime/pack_store.h"

#include <bit>
#include <cstring>

#include "base/fork.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

// A 128-bit digest at about the speed of memory: two independent chains over four lanes of multiply and rotate.
PackDigest digest_of(const Tensor& weight) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15u, kB = 0xC2B2AE3D27D4EB4Fu;
  // Of large weights the pages that were read go back to the file, so that they never add up to the whole weight.
  constexpr size_t kPiece = size_t{16} << 20;
  const std::byte* const data = weight.source();
  const size_t bytes = weight.bytes();
  uint64_t lanes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    if (at != 0 && at % kPiece == 0) weight.buffer()->forget(data + at - kPiece, kPiece);
    uint64_t words[4];
    std::memcpy(words, data + at, 32);
    for (int i = 0; i < 4; ++i) {
      lanes[i] = std::rotl(lanes[i] ^ (words[i] * kB), 29) * kA;
      lanes[i + 4] = std::rotl(lanes[i + 4] + (words[i] ^ kA), 31) * kB;
    }
  }
  uint64_t tail[4] = {};
  std::memcpy(tail, data + at, bytes - at);
  PackDigest digest{bytes, ~bytes};
  for (int i = 0; i < 4; ++i) {
    digest.low = std::rotl(digest.low ^ lanes[i] ^ (tail[i] * kB), 27) * kA;
    digest.high = std::rotl(digest.high + lanes[i + 4] + (tail[i] ^ kA), 33) * kB;
  }
  return digest;
}

}  // namespace

SharedPackStore& SharedPackStore::instance() {
  static auto* const store = new SharedPackStore;  // outlives every session, also those that end at exit
  return *store;
}

PackDigest SharedPackStore::digest(const Tensor& weight) {
  const ForkGuard guard;
  // A constant never changes while its buffer lives; another buffer at the same address is another constant.
  const auto fits = [&](const Known& known) {
    return known.bytes == weight.bytes() && known.buffer.lock() == weight.buffer();
  };
  {
    std::lock_guard lock(mutex_);
    const auto found = digests_.find(weight.identity());
    if (found != digests_.end() && fits(found->second)) return found->second.digest;
  }
  const PackDigest digest = digest_of(weight);
  std::lock_guard lock(mutex_);
  std::erase_if(digests_, [](const auto& item) { return item.second.buffer.expired(); });
  digests_[weight.identity()] = {weight.buffer(), weight.bytes(), digest};
  return digest;
}

std::shared_ptr<Buffer> SharedPackStore::get(const Tensor& weight, std::string_view format, size_t bytes,
                                             FnRef<void(std::byte*)> fill) {
  const ForkGuard guard;
  const ReadScope scope;
  struct GiveUp {
    const Tensor& weight;
    ~GiveUp() { weight.give_up(); }
  } const give_up{weight};
  const PackDigest digest = this->digest(weight);
  std::string key(reinterpret_cast<const char*>(&digest), sizeof(digest));
  key += to_string(weight.shape());
  key += name(weight.type());
  key += format;

  std::shared_ptr<Entry> entry;
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found != entries_.end()) {
      entry = found->second;
    } else {
      std::erase_if(entries_,
                    [](const auto& item) { return item.second.use_count() == 1 && item.second->packed.expired(); });
      entry = entries_[key] = std::make_shared<Entry>();
    }
  }
  std::lock_guard lock(entry->filling);
  if (auto packed = entry->packed.lock()) return packed;
  auto packed = Buffer::allocate(bytes);
  fill(packed->data());
  entry->packed = packed;
  return packed;
}

size_t SharedPackStore::bytes() const {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  size_t total = 0;
  for (const auto& [key, entry] : entries_) {
    if (const auto packed = entry->packed.lock()) total += packed->bytes();
  }
  return total;
}

}  // namespace fastort
