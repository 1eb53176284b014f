#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fastort {

// Small records in one file, by keys of 16 bytes, for any number of processes: the whole file is replaced when
// something was added, with what others added in the meantime. Writers take turns by a lock on the folder; where the
// file system has none, of two that write at the same time one may lose its latest records, never the file. A file that
// is damaged is ignored, with a line in the log, and replaced. Above the bound the records that were added first go.
class RecordFile {
 public:
  static constexpr size_t kKeyBytes = 16;
  static constexpr std::string_view kSuffix = ".records";

  // Without a path the records live in memory alone.
  RecordFile(std::string path, size_t max_bytes) : path_(std::move(path)), max_bytes_(max_bytes) {}

  std::optional<std::string> find(std::string_view key);
  void put(std::string_view key, std::string value);
  // Writes what was added. A file that cannot be written is not an error: the log is told once.
  void save();

 private:
  struct Record {
    std::string key, value;
  };
  static constexpr size_t kMaxKnown = size_t{1} << 16;  // records held in memory
  std::vector<Record> read();
  void load();
  bool write();

  const std::string path_;
  const size_t max_bytes_;
  std::mutex mutex_;
  bool loaded_ = false;
  bool complained_ = false;
  std::unordered_map<std::string, std::string> known_;
  std::vector<Record> added_;
};

}  // namespace fastort
