#include "runtime/weight_memory.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>

namespace fastort {

#if defined(__linux__)

namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// Smaller ones would leave much of their last page empty.
constexpr size_t kLeastMapped = 2 * kHugePage;

}  // namespace

std::shared_ptr<Buffer> allocate_weights(size_t bytes, bool huge_pages) {
  if (bytes < kLeastMapped) return Buffer::allocate(bytes);
  // Room for the first whole page; what lies before and behind is never touched.
  const size_t mapped = bytes + kHugePage;
  void* const memory =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return Buffer::allocate(bytes);
  const auto address = reinterpret_cast<uintptr_t>(memory);
  auto* const data = reinterpret_cast<std::byte*>((address + kHugePage - 1) / kHugePage * kHugePage);
  // A system without such pages refuses, and nothing is lost.
  if (huge_pages) madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return Buffer::wrap(data, bytes, [memory, mapped] { munmap(memory, mapped); });
}

void settle_weights(const Buffer& weights) {
  if (weights.bytes() >= kLeastMapped && reinterpret_cast<uintptr_t>(weights.data()) % kHugePage == 0)
    madvise(weights.data(), weights.bytes() / kHugePage * kHugePage, MADV_HUGEPAGE);
}

#else

std::shared_ptr<Buffer> allocate_weights(size_t bytes, bool) { return Buffer::allocate(bytes); }
void settle_weights(const Buffer&) {}

#endif

}  // namespace fastort
