#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_ranges.h"
#include "base/record_file.h"
#include "tensor/buffer.h"

namespace fastort {

// Packed weights in a folder, one file each, so that the next process maps them instead of packing again. Any number of
// processes may share a folder: a file is written under a name of its own and renamed when it is whole, and never
// changed after that. A file that is cut off, damaged or made by another engine or for another processor is not used
// and written anew. What was read once is not read again to be sure of it, as long as its file's times say that it is
// as it was: neither a packed weight, nor the model's own, which names it. Files are mapped for reading, so that
// processes share their pages; deleting them while they are mapped is harmless, cutting them off is not (as for every
// mapped file).
class PackCache {
 public:
  // The cache of a folder, one object for each in a process. `max_bytes`: files used longest ago are deleted above it;
  // of several sessions that name one folder the last one's counts.
  static std::shared_ptr<PackCache> of(const std::string& folder, size_t max_bytes);

  explicit PackCache(std::string folder, size_t max_bytes);

  // nullptr where there is no good file. `key` names the contents, the format and all that it depends on.
  std::shared_ptr<Buffer> load(std::string_view key, size_t bytes);
  // A cache that cannot be written is not an error: the log is told once.
  void store(std::string_view key, std::span<const std::byte> packed);

  // The digest of what lies at a place in a file, where it was noted.
  std::optional<std::string> digest_at(const FilePlace& place, size_t bytes);
  void note_digest(const FilePlace& place, size_t bytes, std::string digest);
  // Writes what was noted.
  void settle();

 private:
  std::string path_of(std::string_view key) const;
  void make_room(size_t bytes);
  void note_sum(std::string key);
  void used_now(const std::string& path);

  const std::string folder_;
  std::atomic<size_t> max_bytes_;
  std::mutex mutex_;
  size_t used_ = 0;                                              // bytes in the folder, as far as this process knows
  bool counted_ = false;                                         // whether `used_` was ever measured
  std::map<std::string, std::filesystem::file_time_type> uses_;  // by this process
  std::vector<std::string> right_;                               // what `settle` adds to `known_`
  std::atomic<bool> complained_{false};
  RecordFile known_;  // digests by places in files, and the packed weights whose sums were right
};

}  // namespace fastort
