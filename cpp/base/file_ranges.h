#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

struct stat;

namespace fastort {

// What tells a file's contents apart without reading them: device, number, size, and the times of its latest changes.
std::string file_identity(const struct stat& status);

// Whether a file was last changed long enough ago that another change would show in its times.
bool is_settled(const struct stat& status);

// A place in a file.
struct FilePlace {
  std::string file;  // its identity when it was mapped
  uint64_t offset = 0;
};

// Memory that shows a file's contents, noted while it is mapped.
void note_file_range(const void* begin, size_t bytes, std::string identity);
void forget_file_range(const void* begin) noexcept;

// Where [data, data + bytes) comes from; nothing for other memory.
std::optional<FilePlace> file_place(const void* data, size_t bytes);

}  // namespace fastort
