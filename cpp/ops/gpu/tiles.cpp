#include "ops/gpu/tiles.h"

#include <algorithm>
#include <limits>

namespace fastort::gpu {
namespace {

// As many as a GPU of middle size has.
constexpr uint32_t kUsualCores = 32;

int64_t up(int64_t count, int64_t size) { return (count + size - 1) / size; }

// A tile that a device may run, the largest first, and the part of the device's speed that it reaches: small tiles read
// the factors more often.
struct Option {
  Tile tile;
  double speed;
  uint32_t invocations;
  size_t shared_bytes;
};

// All groups at once are one wave; a large tile is fast, and bad where it leaves processors idle.
Tile choose(const std::vector<Option>& options, const Product& product, const GpuTraits& traits) {
  const double cores = traits.cores ? traits.cores : kUsualCores;
  const Tile* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < options.size(); ++i) {
    const Option& option = options[i];
    if (option.invocations > traits.max_invocations || option.shared_bytes > traits.shared_bytes) continue;
    if (traits.tile == static_cast<int>(i)) return option.tile;
    const auto groups =
        static_cast<double>(up(product.m, option.tile.rows) * up(product.n, option.tile.columns) * product.batch);
    const double waves = std::max(1.0, groups / cores);
    const double time = waves * static_cast<double>(option.tile.rows * option.tile.columns) / option.speed;
    if (time < least) {
      least = time;
      best = &option.tile;
    }
  }
  return best ? *best : Tile{};
}

}  // namespace

Tile plain_tile(const Product& product, const GpuTraits& traits) {
  struct Size {
    uint32_t rows, columns, down, across;  // of an invocation; invocations
    uint32_t depth;
    double speed;
  };
  std::vector<Option> options;
  for (const Size& size : {Size{8, 8, 16, 16, 8, 1.0}, Size{4, 4, 16, 16, 16, 0.7}, Size{4, 4, 8, 8, 16, 0.5}}) {
    const uint32_t rows = size.rows * size.down, columns = size.columns * size.across;
    const uint32_t invocations = size.down * size.across;
    const size_t shared = size_t{2} * size.depth * (rows + 4 + columns + 4) * sizeof(float);
    options.push_back({{rows,
                        columns,
                        {invocations, size.rows, size.columns, size.down, size.across, 0, 0, 0, size.depth,
                         product.swap_a ? 1u : 0u, product.swap_b ? 1u : 0u}},
                       size.speed,
                       invocations,
                       shared});
  }
  return choose(options, product, traits);
}

Tile matrix_tile(const Product& product, const GpuTraits& traits) {
  if (traits.matrices.empty()) return {};
  const GpuMatrices& matrix = traits.matrices.front();
  struct Size {
    uint32_t rows, columns, down, across;  // matrices of a subgroup; subgroups
    double speed;
  };
  constexpr size_t kHalf = 2;  // bytes
  std::vector<Option> options;
  for (const Size& size : {Size{4, 2, 2, 4, 1.0}, Size{2, 2, 2, 2, 0.6}, Size{1, 1, 2, 2, 0.35}}) {
    const uint32_t rows = matrix.m * size.rows * size.down, columns = matrix.n * size.columns * size.across;
    const uint32_t subgroups = size.down * size.across, invocations = traits.subgroup * subgroups;
    const uint32_t depth = std::max(32u, matrix.k);
    const size_t lines_a = product.swap_a ? depth : rows, line_a = product.swap_a ? rows : depth;
    const size_t lines_b = product.swap_b ? columns : depth, line_b = product.swap_b ? depth : columns;
    const size_t shared = kHalf * 2 * (lines_a * (line_a + 8) + lines_b * (line_b + 8)) +
                          size_t{subgroups} * matrix.m * matrix.n * sizeof(float);
    options.push_back({{rows,
                        columns,
                        {invocations, matrix.m, matrix.n, matrix.k, size.rows, size.columns, size.down, size.across,
                         depth, product.swap_a ? 1u : 0u, product.swap_b ? 1u : 0u}},
                       size.speed,
                       invocations,
                       shared});
  }
  return choose(options, product, traits);
}

std::optional<std::array<uint32_t, 3>> tile_groups(const Product& product, const Tile& tile, const GpuTraits& traits) {
  const int64_t columns = up(product.n, tile.columns), rows = up(product.m, tile.rows);
  if (columns > traits.max_groups[0] || rows > traits.max_groups[1] || product.batch > traits.max_groups[2])
    return std::nullopt;
  return std::array<uint32_t, 3>{static_cast<uint32_t>(columns), static_cast<uint32_t>(rows),
                                 static_cast<uint32_t>(product.batch)};
}

}  // namespace fastort::gpu
