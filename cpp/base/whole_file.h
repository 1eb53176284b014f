#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>

namespace fastort {

// An open file that is closed with its scope; get() is negative where it could not be opened.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// What a writer that was killed leaves behind ends in this.
inline constexpr const char* kScratchSuffix = ".new";

// Writes a file under a name of its own and renames it when it is whole, so that readers and other writers see the
// old contents or the new ones. False, with errno, where that fails.
bool replace_file(const std::string& path, std::initializer_list<std::span<const std::byte>> parts);

// Tells builds of the engine and processors apart: what is kept on disk follows both.
const std::string& machine_key();

}  // namespace fastort
