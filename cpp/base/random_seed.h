#pragma once

#include <cstdint>

namespace fastort {

// The key of a random operator without a seed of its own: another one for each call. After `set_random_seed` the keys
// are the same in every process.
uint64_t next_random_key() noexcept;
void set_random_seed(uint64_t seed) noexcept;

}  // namespace fastort
