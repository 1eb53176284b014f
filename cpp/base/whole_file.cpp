#include "base/whole_file.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "base/cpu_info.h"

namespace fastort {
namespace {

bool write_all(int fd, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data = data.subspan(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

Descriptor::Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool replace_file(const std::string& path, std::initializer_list<std::span<const std::byte>> parts) {
  static std::atomic<uint64_t> counter{0};
  const std::string scratch =
      path + "." + std::to_string(::getpid()) + "-" + std::to_string(counter++) + kScratchSuffix;
  bool good = true;
  {
    const Descriptor file(scratch, O_WRONLY | O_CREAT | O_EXCL);
    if (file.get() < 0) return false;
    for (const auto part : parts) good = good && write_all(file.get(), part);
  }
  good = good && ::rename(scratch.c_str(), path.c_str()) == 0;
  if (!good) {
    const int reason = errno;
    ::unlink(scratch.c_str());
    errno = reason;
  }
  return good;
}

const std::string& machine_key() {
  static const std::string text = [] {
    std::string made = cpu_name();
    const CpuFeatures& features = cpu_features();
    for (const bool has : {features.avx2, features.fma, features.f16c, features.avx512, features.avx512_vnni,
                           features.avx_vnni, features.amx_bf16, features.amx_int8})
      made += has ? '1' : '0';
    const CacheSizes& caches = cache_sizes();
    for (const size_t size : {caches.l1d, caches.l2, caches.l3}) made += '/' + std::to_string(size);
    Dl_info library = {};
    struct stat status = {};
    if (::dladdr(reinterpret_cast<const void*>(&machine_key), &library) != 0 && library.dli_fname &&
        ::stat(library.dli_fname, &status) == 0) {
      made += '/' + std::to_string(status.st_size) + '/' + std::to_string(status.st_mtim.tv_sec) + '.' +
              std::to_string(status.st_mtim.tv_nsec);
    }
    return made;
  }();
  return text;
}

}  // namespace fastort
