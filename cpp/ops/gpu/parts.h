#pragma once

#include <cstdint>
#include <vector>

#include "ops/gpu.h"

// Products whose K is cut into parts, where they have too few tiles to keep a device busy.
namespace fastort::gpu {

struct Parts {
  int64_t count = 1;
  int64_t steps = 0;  // of k in each, but the last one; 0 where there is one part
};

// At most `count` parts of K, each a multiple of `step` steps. Fewer where the sums of `elements` of the result would
// be more than shaders count.
Parts cut_steps(int64_t k, int64_t count, int64_t step, int64_t elements);

// The sums [items, parts, m, n] that a product leaves.
struct PartSums {
  int64_t items = 1, m = 0, n = 0, parts = 1;
  // Of the result. Without a table of offsets its items follow one another densely.
  int64_t c_row = 0, c_column = 1;
  float alpha = 1, beta = 1, act_a = 0, act_b = 0;
  std::vector<uint32_t> epilogue;  // constants 0 to 2 of the shaders
  GpuOperand result, sums, addend, residual, table;
  size_t bytes() const { return static_cast<size_t>(items * parts * m * n) * sizeof(float); }
};

// Adds them up.
void add_part_sums(GpuWork& work, const PartSums& sums, const GpuTraits& traits);

}  // namespace fastort::gpu
