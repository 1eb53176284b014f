#pragma once

#include <cstddef>
#include <cstdint>

namespace fastort::bench {

// Keeps every FMA unit busy for `rounds` rounds and returns the number of floating-point operations done (an FMA
// counts as two). `sink` takes one float, so that the work cannot be optimised away.
int64_t fma_rounds(int64_t rounds, float* sink);

// Reads `bytes` at `data` once, and returns the combination of all words read. `data` is aligned to 64 bytes and
// `bytes` a multiple of 1024.
uint64_t read_once(const void* data, size_t bytes);

// The same for `bytes` that are a multiple of 4096, from four places at a time and fetched ahead, as memory gives most.
uint64_t read_streams(const void* data, size_t bytes);

// Runs a chain of 64 dependent one-cycle integer operations `rounds` times and returns its result.
uint64_t dependent_chain(int64_t rounds, uint64_t a, uint64_t b);
inline constexpr int64_t kChainCycles = 64;

// Name of the instruction set that the kernels above run with.
const char* target_name();

}  // namespace fastort::bench
