#include "base/record_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/digest.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/whole_file.h"

namespace fastort {
namespace {

// In front of the records, each of which is its key, the size of its value as 32 bits, and the value.
struct Head {
  char magic[8];
  uint64_t bytes;         // of the records
  unsigned char sum[16];  // digest of the records
};
constexpr char kMagic[8] = {'f', 'o', 'r', 't', 'r', 'c', '0', '1'};
constexpr size_t kFixedBytes = RecordFile::kKeyBytes + sizeof(uint32_t);

std::string sum_of(std::string_view records) {
  Digest digest;
  digest.add(records);
  return digest.bytes();
}

// Everything in a file; nothing where there is none.
std::optional<std::string> contents(const std::string& path, size_t max_bytes) {
  const Descriptor file(path, O_RDONLY);
  struct stat status = {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) > max_bytes + sizeof(Head)) return "";
  std::string text(static_cast<size_t>(status.st_size), '\0');
  for (size_t at = 0; at < text.size();) {
    const ssize_t got = ::read(file.get(), text.data() + at, text.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return "";
    at += static_cast<size_t>(got);
  }
  return text;
}

// Keeps others from writing into a folder between the reading and the writing of a file. Where the lock cannot be had,
// or not soon, one goes on without it: a lost record is made again.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder) : folder_(folder.string(), O_RDONLY | O_DIRECTORY) {
    constexpr std::chrono::milliseconds kStep{2}, kPatience{1000};
    if (folder_.get() < 0) return;
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EINTR && errno != EWOULDBLOCK) return;
      if (std::chrono::steady_clock::now() > until) return;
      std::this_thread::sleep_for(kStep);
    }
  }

 private:
  Descriptor folder_;  // the lock goes with it
};

}  // namespace

std::vector<RecordFile::Record> RecordFile::read() {
  const std::optional<std::string> text = contents(path_, max_bytes_);
  if (!text) return {};
  std::vector<Record> records;
  Head head = {};
  bool good = text->size() >= sizeof(head);
  if (good) std::memcpy(&head, text->data(), sizeof(head));
  std::string_view rest = good ? std::string_view(*text).substr(sizeof(head)) : std::string_view();
  good = good && std::memcmp(head.magic, kMagic, sizeof(kMagic)) == 0 && head.bytes == rest.size() &&
         std::memcmp(head.sum, sum_of(rest).data(), sizeof(head.sum)) == 0;
  while (good && !rest.empty()) {
    uint32_t bytes = 0;
    good = rest.size() >= kFixedBytes;
    if (good) std::memcpy(&bytes, rest.data() + kKeyBytes, sizeof(bytes));
    good = good && rest.size() - kFixedBytes >= bytes;
    if (!good) break;
    records.push_back({std::string(rest.substr(0, kKeyBytes)), std::string(rest.substr(kFixedBytes, bytes))});
    rest.remove_prefix(kFixedBytes + bytes);
  }
  if (good) return records;
  log(Severity::Warning, "the file '" + path_ + "' of a fastort cache is damaged and is not used");
  return {};
}

void RecordFile::load() {
  if (loaded_) return;
  loaded_ = true;
  for (Record& record : read()) known_[std::move(record.key)] = std::move(record.value);
}

std::optional<std::string> RecordFile::find(std::string_view key) {
  const ForkGuard guard;
  const std::lock_guard lock(mutex_);
  load();
  const auto found = known_.find(std::string(key));
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

void RecordFile::put(std::string_view key, std::string value) {
  const ForkGuard guard;
  const std::lock_guard lock(mutex_);
  load();
  if (known_.size() >= kMaxKnown) known_.clear();
  if (!path_.empty()) added_.push_back({std::string(key), value});
  known_[std::string(key)] = std::move(value);
}

void RecordFile::save() {
  const ForkGuard guard;
  const std::lock_guard lock(mutex_);
  if (added_.empty()) return;
  const bool good = write();
  added_.clear();
  if (good || complained_) return;
  complained_ = true;
  log(Severity::Warning, "the cache file '" + path_ + "' cannot be written: " + std::strerror(errno));
}

bool RecordFile::write() {
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const FolderLock lock(folder);
  std::vector<Record> all = read();
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < all.size(); ++i) places[all[i].key] = i;
  std::vector<bool> gone(all.size(), false);
  for (const Record& record : added_)
    if (const auto found = places.find(record.key); found != places.end()) gone[found->second] = true;
  std::vector<const Record*> kept;  // the oldest first
  for (size_t i = 0; i < all.size(); ++i)
    if (!gone[i]) kept.push_back(&all[i]);
  std::unordered_map<std::string_view, const Record*> latest;
  for (const Record& record : added_) latest[record.key] = &record;
  for (const Record& record : added_)
    if (latest[record.key] == &record) kept.push_back(&record);

  size_t bytes = 0, first = kept.size();
  while (first > 0 && bytes + kFixedBytes + kept[first - 1]->value.size() <= max_bytes_)
    bytes += kFixedBytes + kept[--first]->value.size();
  std::string records;
  records.reserve(bytes);
  for (size_t i = first; i < kept.size(); ++i) {
    const auto size = static_cast<uint32_t>(kept[i]->value.size());
    records += kept[i]->key;
    records.append(reinterpret_cast<const char*>(&size), sizeof(size));
    records += kept[i]->value;
  }
  Head head = {};
  std::memcpy(head.magic, kMagic, sizeof(kMagic));
  head.bytes = records.size();
  std::memcpy(head.sum, sum_of(records).data(), sizeof(head.sum));
  return replace_file(path_, {std::as_bytes(std::span(&head, 1)), std::as_bytes(std::span(records))});
}

}  // namespace fastort
