#include "runtime/pack_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

#include "base/digest.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/record_file.h"
#include "base/whole_file.h"

namespace fastort {
namespace {

namespace fs = std::filesystem;

// In front of the packed weights, which start at a page of their own.
struct Head {
  char magic[8];
  uint64_t bytes;         // of the packed weights
  unsigned char key[16];  // digest of the whole key
  unsigned char sum[16];  // digest of the packed weights
};
constexpr char kMagic[8] = {'f', 'o', 'r', 't', 'p', 'k', '0', '1'};
constexpr size_t kHeadBytes = 4096;
constexpr size_t kKnownBytes = size_t{1} << 20;
// The time of the latest use decides what is deleted first. A file's own time, by which its sum is known to be right,
// is changed only where it is older than this (seconds).
constexpr time_t kFresh = 3600;
constexpr std::string_view kSuffix = ".packed";
// What a writer that was killed leaves behind is deleted when it is this old.
constexpr auto kStale = std::chrono::hours(1);

bool of_ours(const fs::path& path) {
  const std::string text = path.filename().string();
  return text.find(kSuffix) != text.npos || text.find(RecordFile::kSuffix) != text.npos;
}

Digest digest_of_key(std::string_view key) {
  Digest digest;
  digest.add(machine_key());
  digest.add(std::string_view("\0", 1));
  digest.add(key);
  return digest;
}

// Of a packed weight whose sum was right.
std::string key_of_sum(std::string_view key, const struct stat& status) {
  Digest digest = digest_of_key(key);
  digest.add("; its sum is right: " + file_identity(status));
  return digest.bytes();
}

std::string key_of_place(const FilePlace& place, size_t bytes) {
  Digest digest;
  digest.add("place " + place.file + std::to_string(place.offset) + ' ' + std::to_string(bytes));
  return digest.bytes();
}

std::string sum_of(const std::byte* data, size_t bytes) {
  Digest digest;
  digest.add(data, bytes);
  return digest.bytes();
}

}  // namespace

std::shared_ptr<PackCache> PackCache::of(const std::string& folder, size_t max_bytes) {
  static std::mutex mutex;
  static auto* const caches = new std::map<std::string, std::shared_ptr<PackCache>>;
  const ForkGuard guard;
  std::lock_guard lock(mutex);
  std::error_code error;
  const fs::path absolute = fs::absolute(folder, error);
  auto& cache = (*caches)[error ? folder : absolute.lexically_normal().string()];
  if (!cache) cache = std::make_shared<PackCache>(folder, max_bytes);
  cache->max_bytes_ = max_bytes;
  return cache;
}

PackCache::PackCache(std::string folder, size_t max_bytes)
    : folder_(std::move(folder)),
      max_bytes_(max_bytes),
      known_((fs::path(folder_) / ("files" + std::string(RecordFile::kSuffix))).string(), kKnownBytes) {}

std::optional<std::string> PackCache::digest_at(const FilePlace& place, size_t bytes) {
  auto digest = known_.find(key_of_place(place, bytes));
  return digest && digest->size() == sizeof(Head::key) ? digest : std::nullopt;
}

void PackCache::note_digest(const FilePlace& place, size_t bytes, std::string digest) {
  known_.put(key_of_place(place, bytes), std::move(digest));
}

void PackCache::note_sum(std::string key) {
  const std::lock_guard lock(mutex_);
  right_.push_back(std::move(key));
}

void PackCache::used_now(const std::string& path) {
  const std::lock_guard lock(mutex_);
  uses_[path] = fs::file_time_type::clock::now();
}

void PackCache::settle() {
  const ForkGuard guard;
  std::vector<std::string> right;
  {
    const std::lock_guard lock(mutex_);
    right.swap(right_);
  }
  for (const std::string& key : right) known_.put(key, "");
  known_.save();
}

std::string PackCache::path_of(std::string_view key) const {
  return (fs::path(folder_) / (digest_of_key(key).hex() + std::string(kSuffix))).string();
}

std::shared_ptr<Buffer> PackCache::load(std::string_view key, size_t bytes) {
  const std::string path = path_of(key);
  const Descriptor file(path, O_RDONLY);
  if (file.get() < 0) return nullptr;
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      static_cast<uint64_t>(status.st_size) != kHeadBytes + bytes)
    return nullptr;
  const size_t mapped = kHeadBytes + bytes;
  void* const data = ::mmap(nullptr, mapped, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) return nullptr;
  const auto whole = Buffer::wrap(data, mapped, [data, mapped] { ::munmap(data, mapped); });
  ::madvise(data, mapped, MADV_WILLNEED);
  Head head = {};
  std::memcpy(&head, data, sizeof(head));
  std::byte* const packed = whole->data() + kHeadBytes;
  if (std::memcmp(head.magic, kMagic, sizeof(kMagic)) != 0 || head.bytes != bytes ||
      std::memcmp(head.key, digest_of_key(key).bytes().data(), sizeof(head.key)) != 0)
    return nullptr;
  if (!known_.find(key_of_sum(key, status))) {
    if (std::memcmp(head.sum, sum_of(packed, bytes).data(), sizeof(head.sum)) != 0) return nullptr;
    note_sum(key_of_sum(key, status));
  }
  used_now(path);
  if (status.st_mtim.tv_sec + kFresh < ::time(nullptr)) {
    const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    if (::futimens(file.get(), times) == 0 && ::fstat(file.get(), &status) == 0) note_sum(key_of_sum(key, status));
  }
  return Buffer::wrap(packed, bytes, [whole] {});
}

void PackCache::store(std::string_view key, std::span<const std::byte> packed) {
  const size_t needed = kHeadBytes + packed.size();
  if (needed > max_bytes_) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  make_room(needed);
  Head head = {};
  std::memcpy(head.magic, kMagic, sizeof(kMagic));
  head.bytes = packed.size();
  std::memcpy(head.key, digest_of_key(key).bytes().data(), sizeof(head.key));
  std::memcpy(head.sum, sum_of(packed.data(), packed.size()).data(), sizeof(head.sum));
  std::vector<std::byte> first(kHeadBytes);
  std::memcpy(first.data(), &head, sizeof(head));
  const std::string path = path_of(key);
  if (replace_file(path, {first, packed})) {
    struct stat status = {};
    if (::stat(path.c_str(), &status) == 0) note_sum(key_of_sum(key, status));
    used_now(path);
    return;
  }
  if (!complained_.exchange(true))
    log(Severity::Warning, "packed weights cannot be written to the cache folder '" + folder_ +
                               "': " + std::strerror(errno) + "; they are packed again by every process");
}

// Books `bytes` and deletes the files used longest ago until they fit. Other processes' files are seen only when the
// folder is looked at: whenever this process believes it to be full.
void PackCache::make_room(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (counted_ && used_ + bytes <= max_bytes_) {
    used_ += bytes;
    return;
  }
  struct File {
    fs::path path;
    fs::file_time_type time;
    size_t bytes;
  };
  std::vector<File> files;
  used_ = 0;
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;  // another process may delete what is listed here
    const auto time = entry->last_write_time(gone);
    if (gone) continue;
    const fs::path& path = entry->path();
    if (path.extension() == kScratchSuffix && of_ours(path) && now - time > kStale) {
      fs::remove(path, gone);
    } else if (path.extension() == kSuffix) {
      const auto size = entry->file_size(gone);
      if (gone) continue;
      const auto use = uses_.find(path.string());
      files.push_back({path, use == uses_.end() ? time : std::max(time, use->second), static_cast<size_t>(size)});
      used_ += files.back().bytes;
    }
  }
  counted_ = true;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.time < b.time; });
  // A tenth more than needed, so that a full folder is not listed for every file.
  const size_t limit = max_bytes_ - max_bytes_ / 10;
  if (used_ + bytes > max_bytes_) {
    for (const File& file : files) {
      if (used_ + bytes <= limit) break;
      std::error_code gone;
      fs::remove(file.path, gone);
      uses_.erase(file.path.string());
      used_ -= file.bytes;
    }
  }
  used_ += bytes;
}

}  // namespace fastort
