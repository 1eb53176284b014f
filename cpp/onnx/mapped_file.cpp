#include "onnx/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/file_ranges.h"

namespace fastort {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::function<void()> unmap(void* data, size_t bytes) {
  return [data, bytes] { ::munmap(data, bytes); };
}

class MappedFile final : public Buffer {
 public:
  MappedFile(void* data, size_t bytes, const struct stat& status)
      : Buffer(static_cast<std::byte*>(data), bytes, unmap(data, bytes)) {
    if (is_settled(status)) note_file_range(data, bytes, file_identity(status));
  }
  ~MappedFile() override { forget_file_range(data()); }
  void forget(const std::byte* begin, size_t bytes) noexcept override {
    // The system maps whole windows of pages around the one that is touched, so whole windows go back; what a
    // neighbour needs of them comes again when it is touched.
    constexpr uintptr_t kWindow = uintptr_t{64} << 10;
    const auto base = reinterpret_cast<uintptr_t>(data());
    const auto address = reinterpret_cast<uintptr_t>(begin);
    const uintptr_t first = std::max(base, address / kWindow * kWindow);
    const uintptr_t last = std::min(base + this->bytes(), (address + bytes + kWindow - 1) / kWindow * kWindow);
    if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
};

}  // namespace

std::shared_ptr<Buffer> map_file(const std::string& path) {
  const Descriptor file(path);
  if (file.get() < 0) {
    const int reason = errno;
    if (reason == ENOENT || reason == ENOTDIR)
      fail(ErrorCode::NoSuchFile, "Load model " + path + " failed. File doesn't exist");
    fail(ErrorCode::Fail, "Load model " + path + " failed. " + std::strerror(reason));
  }
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0)
    fail(ErrorCode::Fail, "Load model " + path + " failed. " + std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::Fail, "Load model " + path + " failed. It is not a regular file");
  const auto bytes = static_cast<size_t>(status.st_size);
  if (bytes == 0) return Buffer::wrap(nullptr, 0);
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED)
    fail(ErrorCode::Fail, "Load model " + path + " failed. Cannot map it: " + std::strerror(errno));
  return std::make_shared<MappedFile>(data, bytes, status);
}

std::shared_ptr<Buffer> zero_pages(size_t bytes) {
  if (bytes == 0) return Buffer::wrap(nullptr, 0);
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail(ErrorCode::Fail, "No memory for " + std::to_string(bytes) + " bytes");
  return Buffer::wrap(data, bytes, unmap(data, bytes));
}

}  // namespace fastort
