#include "base/file_ranges.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <mutex>

#include "base/fork.h"

namespace fastort {
namespace {

struct Range {
  size_t bytes;
  std::string identity;
};

struct Ranges {
  std::mutex mutex;
  std::map<uintptr_t, Range> by_address;
};

Ranges& ranges() {
  static auto* const instance = new Ranges;  // outlives every mapping, also those that end at exit
  return *instance;
}

}  // namespace

std::string file_identity(const struct stat& status) {
  std::string text;
  for (const auto value :
       {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino), static_cast<int64_t>(status.st_size),
        static_cast<int64_t>(status.st_mtim.tv_sec), static_cast<int64_t>(status.st_mtim.tv_nsec),
        static_cast<int64_t>(status.st_ctim.tv_sec), static_cast<int64_t>(status.st_ctim.tv_nsec)})
    text += std::to_string(value) + ' ';
  return text;
}

bool is_settled(const struct stat& status) {
  // File systems count in ticks, the coarsest of them in two seconds.
  constexpr std::time_t kTick = 2;
  const std::time_t now = std::time(nullptr);
  const std::time_t changed = std::max(status.st_mtim.tv_sec, status.st_ctim.tv_sec);
  return changed + kTick < now;
}

void note_file_range(const void* begin, size_t bytes, std::string identity) {
  const ForkGuard guard;
  const std::lock_guard lock(ranges().mutex);
  ranges().by_address[reinterpret_cast<uintptr_t>(begin)] = {bytes, std::move(identity)};
}

void forget_file_range(const void* begin) noexcept {
  const ForkGuard guard;
  const std::lock_guard lock(ranges().mutex);
  ranges().by_address.erase(reinterpret_cast<uintptr_t>(begin));
}

std::optional<FilePlace> file_place(const void* data, size_t bytes) {
  const ForkGuard guard;
  const std::lock_guard lock(ranges().mutex);
  const auto address = reinterpret_cast<uintptr_t>(data);
  auto range = ranges().by_address.upper_bound(address);
  if (range == ranges().by_address.begin()) return {};
  --range;
  const uint64_t offset = address - range->first;
  if (offset > range->second.bytes || range->second.bytes - offset < bytes) return {};
  return FilePlace{range->second.identity, offset};
}

}  // namespace fastort
