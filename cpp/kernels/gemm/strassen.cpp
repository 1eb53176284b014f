#include "kernels/gemm/strassen.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/pieces.h"
#include "kernels/gemm/sgemm_kernels.h"
#include "kernels/gemm/strassen_kernels.h"

namespace fastort::kernels {

namespace {

// What a product has to have at least to gain: below, the seventh that is saved goes into the sums.
constexpr int64_t kLeastRows = 96;
constexpr int64_t kLeastDepth = 768;
// Blocks into which it is cut at least, for threads to share; where columns give fewer, by rows of at least so many
// tiles. Neither depends on the number of threads, so that results do not.
constexpr int64_t kMinBlocks = 32;
constexpr int64_t kFewestBlocks = 16;
constexpr int64_t kMinTiles = 6;
// Rows of a half in a block: their sums of C stay in the second cache.
constexpr int64_t kMostRows = 192;
constexpr int64_t kMostRowsAtOnce = 4 * kMostRows;
// B's panels in so many groups have a profile each: the share of each row in their squares.
constexpr int64_t kGroups = 8;
// Rows of A that tell how its squares spread over its columns.
constexpr int64_t kSampledRows = 32;
// What the products of A's columns and B's rows have to reach of what unrelated ones would give.
constexpr float kLeastProducts = 1.0f / 64;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

size_t floats(int64_t count) { return (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64; }

struct Cut {
  int64_t pairs, half_rows, row_step, row_parts;
};

Cut cut_of(int64_t m, int64_t n) {
  const int64_t tile = sgemm_tile_rows();
  Cut cut;
  cut.pairs = n / sgemm_panel_width() / 2;
  cut.half_rows = ceil_div(m, 2);
  const int64_t wanted = ceil_div(kMinBlocks, std::max<int64_t>(1, cut.pairs));
  const int64_t parts =
      std::max(ceil_div(cut.half_rows, kMostRows), std::min(wanted, cut.half_rows / (kMinTiles * tile)));
  cut.row_step = ceil_div(ceil_div(cut.half_rows, std::max<int64_t>(1, parts)), tile) * tile;
  cut.row_parts = ceil_div(cut.half_rows, cut.row_step);
  return cut;
}

}  // namespace

size_t measured_b_bytes(int64_t k) { return static_cast<size_t>(kGroups * k + 1) * sizeof(float); }

void measure_b(const float* packed, int64_t k, int64_t n, float* measured, const Parallel& parallel) {
  const int64_t panel = sgemm_panel_width(), panels = ceil_div(n, panel), pairs = n / panel / 2;
  std::vector<float> squares(static_cast<size_t>(panels));
  parallel.chunks(static_cast<int>(kGroups), [&](int group) {
    float* const profile = measured + group * k;
    std::fill(profile, profile + k, 0.0f);
    const int64_t begin = panels * group / kGroups, end = panels * (group + 1) / kGroups;
    for (int64_t i = begin; i < end; ++i)
      squares[static_cast<size_t>(i)] = add_panel_profile(packed + i * panel * k, k, profile);
    for (int64_t i = 0; i < k && begin < end; ++i) profile[i] /= static_cast<float>(end - begin);
  });
  bool comparable = true;
  for (int64_t i = 0; i < pairs; ++i)
    comparable &= strassen_comparable(squares[static_cast<size_t>(i)], squares[static_cast<size_t>(i + pairs)]);
  measured[kGroups * k] = comparable;
}

// Whether A's columns meet rows of B of such a size that their products are no smaller than those of others.
bool Strassen::suits(const GemmOperands& operands, const float* measured, float* profile) const {
  if (measured[kGroups * k_] == 0) return false;
  std::fill(profile, profile + k_, 0.0f);
  const int64_t rows = std::min(m_, kSampledRows);
  for (int64_t i = 0; i < rows; ++i) add_row_profile(operands.a + i * m_ / rows * operands.a_stride, k_, profile);
  const float least = kLeastProducts * static_cast<float>(rows) / static_cast<float>(k_);
  for (int64_t group = 0; group < kGroups; ++group)
    if (!(dot_product(profile, measured + group * k_, k_) >= least)) return false;
  return true;
}

bool Strassen::gains(int64_t m, int64_t n, int64_t k) {
  if (m < kLeastRows || k < kLeastDepth || k % 2 != 0) return false;
  const Cut cut = cut_of(m, n);
  return cut.pairs * cut.row_parts >= kFewestBlocks;
}

int64_t Strassen::rows_at_once(int64_t m) {
  const int64_t tile = 2 * sgemm_tile_rows();
  return ceil_div(ceil_div(m, ceil_div(m, kMostRowsAtOnce)), tile) * tile;
}

Strassen::Strassen(int64_t m, int64_t n, int64_t k, int threads)
    : m_(m), k_(k), panel_(sgemm_panel_width()), threads_(threads) {
  const Cut cut = cut_of(m, n);
  pairs_ = cut.pairs;
  half_rows_ = cut.half_rows;
  row_step_ = cut.row_step;
  row_parts_ = cut.row_parts;
}

size_t Strassen::workspace_bytes() const noexcept {
  return floats(StrassenLeft::kSums * half_rows_ * (k_ / 2)) +
         static_cast<size_t>(threads_) * floats(strassen_scratch_floats(row_step_, k_ / 2));
}

void Strassen::run_block(const GemmOperands& operands, const StrassenLeft& left, int64_t i, int64_t next,
                         std::byte* scratch) const {
  const int64_t pair = i % pairs_, blocks = pairs_ * row_parts_;
  StrassenBlock block;
  block.left = &left;
  block.row_begin = i / pairs_ * row_step_;
  block.row_end = std::min(half_rows_, block.row_begin + row_step_);
  for (int side = 0; side < 2; ++side) {
    const float* const half = operands.b + side * pairs_ * panel_ * k_;
    block.b[side] = half + pair * panel_ * k_;
    if (next < blocks) block.next_b[side] = half + next % pairs_ * panel_ * k_;
  }
  block.scratch = reinterpret_cast<float*>(scratch);
  block.c = operands.c + pair * panel_;
  block.c_stride = operands.c_stride;
  block.c_right = pairs_ * panel_;
  block.alpha = operands.alpha;
  block.epilogue = operands.epilogue;
  if (block.epilogue.bias && !block.epilogue.bias_per_row) block.epilogue.bias += pair * panel_;
  if (block.epilogue.residual) block.epilogue.residual += pair * panel_;
  strassen_block(block);
}

bool Strassen::run(const GemmOperands& operands, const float* measured, std::byte* workspace, const Parallel& parallel,
                   int64_t parts, FnRef<void(int64_t)> rest) const {
  StrassenLeft left;
  left.a = operands.a;
  left.a_stride = operands.a_stride;
  left.upper = half_rows_;
  left.lower = m_ - half_rows_;
  left.half_depth = k_ / 2;
  left.sums = reinterpret_cast<float*>(workspace);
  if (!suits(operands, measured, left.sums)) return false;
  std::atomic<bool> comparable{true};
  copy_in_pieces(parallel, left.upper, left.half_depth, [&](int64_t begin, int64_t end) {
    if (!strassen_add_left(left, begin, end)) comparable.store(false, std::memory_order_relaxed);
  });
  if (!comparable.load(std::memory_order_relaxed)) return false;
  workspace += floats(StrassenLeft::kSums * left.upper * left.half_depth);

  const int64_t blocks = pairs_ * row_parts_, total = blocks + parts;
  const size_t scratch = floats(strassen_scratch_floats(row_step_, left.half_depth));
  std::atomic<int64_t> taken{0};
  parallel.chunks(std::min(parallel.threads(), threads_), [&](int worker) {
    // The next block is known one ahead, for its B to be brought nearer.
    const auto take = [&] { return taken.fetch_add(1, std::memory_order_relaxed); };
    for (int64_t i = take(), next; i < total && !parallel.cancelled(); i = next) {
      next = take();
      if (i >= blocks)
        rest(i - blocks);
      else
        run_block(operands, left, i, next, workspace + static_cast<size_t>(worker) * scratch);
    }
  });
  return true;
}

}  // namespace fastort::kernels
