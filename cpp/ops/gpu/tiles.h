#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/gpu.h"
#include "ops/gpu/parts.h"

// Products of matrices [m, k] and [k, n], several along z, cut into tiles out of work-group memory.
namespace fastort::gpu {

struct Product {
  int64_t m = 0, n = 0, k = 0, batch = 1;
  // Lines of A lie along its columns, those of B along its rows (shaders/common/tile.glsl).
  bool swap_a = false, swap_b = false;
};

// The tile of one work group.
struct Tile {
  int64_t rows = 0, columns = 0;
  std::vector<uint32_t> constants;  // of the shader, numbers 3 to 13
  Parts parts;
  bool matrices = false;
};

// The tile that the rule, or the traits, choose: of cooperative matrices where tensors will be float16 and the device
// has them, else by plain arithmetic. Without rows where the device has no tile of the kind.
Tile best_tile(const Product& product, const GpuTraits& traits);

// The groups of a product: along z the batch, and within each item the parts. Empty where it is larger than the
// device's grid.
std::optional<std::array<uint32_t, 3>> tile_groups(const Product& product, const Tile& tile, const GpuTraits& traits);

}  // namespace fastort::gpu
