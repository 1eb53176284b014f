#include "runtime/pack_store.h"

#include <algorithm>

#include "base/digest.h"
#include "base/file_ranges.h"
#include "base/fork.h"
#include "runtime/weight_memory.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

// Smaller ones are packed faster than a file is opened.
constexpr size_t kMinCached = size_t{32} << 10;

std::string digest_of(const Tensor& weight, PackCache* cache) {
  const std::optional<FilePlace> place =
      cache && weight.bytes() >= kMinCached ? file_place(weight.source(), weight.bytes()) : std::nullopt;
  if (place)
    if (auto known = cache->digest_at(*place, weight.bytes())) return *known;
  // Of large weights the pages that were read go back to the file, so that they never add up to the whole weight.
  constexpr size_t kPiece = size_t{8} << 20;
  const std::byte* const data = weight.source();
  const size_t bytes = weight.bytes();
  Digest digest;
  for (size_t at = 0; at < bytes; at += kPiece) {
    const size_t piece = std::min(kPiece, bytes - at);
    digest.add(data + at, piece);
    if (bytes > kPiece && weight.buffer()) weight.buffer()->forget(data + at, piece);
  }
  if (place) cache->note_digest(*place, bytes, digest.bytes());
  return digest.bytes();
}

}  // namespace

SharedPackStore& SharedPackStore::instance() {
  static auto* const store = new SharedPackStore;  // outlives every session, also those that end at exit
  return *store;
}

std::string SharedPackStore::digest(const Tensor& weight, PackCache* cache) {
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
  const std::string digest = digest_of(weight, cache);
  std::lock_guard lock(mutex_);
  std::erase_if(digests_, [](const auto& item) { return item.second.buffer.expired(); });
  digests_[weight.identity()] = {weight.buffer(), weight.bytes(), digest};
  return digest;
}

std::shared_ptr<Buffer> SharedPackStore::get(const Tensor& weight, std::string_view format, size_t bytes,
                                             FnRef<void(std::byte*)> fill, PackCache* cache, bool huge_pages) {
  const ForkGuard guard;
  const ReadScope scope;
  struct GiveUp {
    const Tensor& weight;
    ~GiveUp() { weight.give_up(); }
  } const give_up{weight};
  std::string key = digest(weight, cache);
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
  const std::lock_guard filling(entry->filling);
  {
    const std::lock_guard lock(mutex_);
    if (auto packed = entry->packed.lock()) return packed;
  }
  const bool on_disk = cache && bytes >= kMinCached;
  auto packed = on_disk ? cache->load(key, bytes) : nullptr;
  if (!packed) {
    packed = allocate_weights(bytes, huge_pages);
    fill(packed->data());
    settle_weights(*packed);
    if (on_disk) cache->store(key, {packed->data(), bytes});
  }
  const std::lock_guard lock(mutex_);
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
