#include "ops/gpu/tiles.h"

#include <algorithm>
#include <limits>

namespace fastort::gpu {
namespace {

// As many as a GPU of middle size has.
constexpr uint32_t kUsualCores = 32;
// The rule leaves parts of K at least as long as this: shorter ones spend their time on beginning and ending.
constexpr int64_t kLeastSteps = 128;

int64_t up(int64_t count, int64_t size) { return (count + size - 1) / size; }

// A tile that a device may run, the largest first, and the part of the device's speed that it reaches: small tiles read
// the factors more often.
struct Option {
  Tile tile;
  double speed;
  uint32_t invocations;
  uint32_t depth;
  size_t shared_bytes;
};

// What adding up parts of K costs, as products that a processor could make in the meantime: the second dispatch, and
// each byte of the sums that is written and read again.
struct Extra {
  double dispatch, byte;
};
constexpr Extra kPlainExtra{5e5, 12}, kMatrixExtra{3e6, 64};

// All groups at once are one wave; a large tile is fast, and bad where it leaves processors idle, unless parts of K
// give them something to do.
Tile choose(const std::vector<Option>& options, const Product& product, const Extra& extra, const GpuTraits& traits) {
  const double cores = traits.cores ? traits.cores : kUsualCores;
  const int64_t elements = product.m * product.n * product.batch;
  Tile best;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < options.size(); ++i) {
    const Option& option = options[i];
    if (option.invocations > traits.max_invocations || option.shared_bytes > traits.shared_bytes) continue;
    if (traits.tile >= 0 && traits.tile != static_cast<int>(i)) continue;
    const auto groups =
        static_cast<double>(up(product.m, option.tile.rows) * up(product.n, option.tile.columns) * product.batch);
    for (int64_t wanted = 1; wanted <= 16; wanted *= 2) {
      if (traits.parts > 0 && wanted > 1) break;
      const Parts parts = cut_steps(product.k, traits.parts > 0 ? traits.parts : wanted, option.depth, elements);
      if (traits.parts == 0 && wanted > 1 && (parts.count == 1 || parts.steps < kLeastSteps)) break;
      const auto count = static_cast<double>(parts.count);
      const auto steps = static_cast<double>(parts.count > 1 ? parts.steps : product.k);
      const double waves = std::max(1.0, groups * count / cores);
      double time = waves * static_cast<double>(option.tile.rows * option.tile.columns) * steps / option.speed;
      if (parts.count > 1)
        time += extra.dispatch + 2 * sizeof(float) * static_cast<double>(elements) * count * extra.byte / cores;
      if (time < least) {
        least = time;
        best = option.tile;
        best.parts = parts;
      }
    }
  }
  return best;
}

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
                         product.swap_a ? 1u : 0u, product.swap_b ? 1u : 0u},
                        {},
                        false},
                       size.speed,
                       invocations,
                       size.depth,
                       shared});
  }
  return choose(options, product, kPlainExtra, traits);
}

Tile matrix_tile(const Product& product, const GpuTraits& traits) {
  if (!traits.halves || traits.matrices.empty()) return {};
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
                         depth, product.swap_a ? 1u : 0u, product.swap_b ? 1u : 0u},
                        {},
                        true},
                       size.speed,
                       invocations,
                       depth,
                       shared});
  }
  return choose(options, product, kMatrixExtra, traits);
}

}  // namespace

Tile best_tile(const Product& product, const GpuTraits& traits) {
  Tile tile = matrix_tile(product, traits);
  return tile.rows ? tile : plain_tile(product, traits);
}

std::optional<std::array<uint32_t, 3>> tile_groups(const Product& product, const Tile& tile, const GpuTraits& traits) {
  const int64_t columns = up(product.n, tile.columns), rows = up(product.m, tile.rows);
  const int64_t items = product.batch * tile.parts.count;
  if (columns > traits.max_groups[0] || rows > traits.max_groups[1] || items > traits.max_groups[2])
    return std::nullopt;
  return std::array<uint32_t, 3>{static_cast<uint32_t>(columns), static_cast<uint32_t>(rows),
                                 static_cast<uint32_t>(items)};
}

}  // namespace fastort::gpu
