#include "base/random_seed.h"

#include <atomic>
#include <random>

namespace fastort {
namespace {

std::atomic<uint64_t>& keys() {
  static std::atomic<uint64_t> state{std::random_device{}() * uint64_t{0x100000001} + 1};
  return state;
}

}  // namespace

uint64_t next_random_key() noexcept { return keys().fetch_add(0x632be59bd9b4e019u, std::memory_order_relaxed); }

void set_random_seed(uint64_t seed) noexcept { keys().store(seed * 0x9e3779b97f4a7c15u + 1); }

}  // namespace fastort
