#pragma once

#include <cstdint>

namespace fastort::kernels {

constexpr int64_t kRankedTile = 64;  // rows that are evaluated side by side
constexpr int64_t kRankedUnit = 8;   // bytes; places in a tile are multiples of it

// For each row of a tile: rank < limit ? what `yes` holds : what `no` holds. Ranks are shifted by -128.
struct RankedOp {
  uint16_t column;   // of ranks, in units from the first
  uint16_t yes, no;  // numbers of leaves, in units from the first
  int8_t limit;
};

// Sorted thresholds in blocks of kRankedBlock, filled up with infinities; above them levels that hold the last
// threshold of each block, up to a level of one block.
constexpr int64_t kRankedBlock = 16;
constexpr int kMostRankLevels = 8;
template <class T>
struct RankLevels {
  const T* levels[kMostRankLevels];  // the topmost first
  uint32_t last_blocks[kMostRankLevels];
  int depth;
  uint32_t count;  // of thresholds
};

// How many thresholds are below each of src[0], src[stride], ...; all for NaN.
void find_ranks(const RankLevels<float>& thresholds, const float* src, int64_t count, int64_t stride, uint32_t* ranks);
void find_ranks(const RankLevels<double>& thresholds, const double* src, int64_t count, int64_t stride,
                uint32_t* ranks);

struct RankedTree {
  int64_t ops_begin, ops_end;
  int64_t leaves, count;  // among those of all trees
  int64_t target;         // that all leaves vote for; -1: the leaves' votes tell
};

// Writes the number of the leaf where each row arrives to the kRankedTile bytes that are returned. `chosen` begins with
// `leaves` tiles that hold their own number; the ops write behind them.
const int8_t* choose_leaves(const RankedOp* ops, int64_t count, const int8_t* ranks, int8_t* chosen, int64_t leaves);

// sums[row] += values[leaves[row]] for the rows of a tile; `count` values, behind which kRankedPadding more can be
// read.
constexpr int64_t kRankedPadding = 16;
void add_leaf_values(const float* values, int64_t count, const int8_t* leaves, float* sums);
void add_leaf_values(const double* values, int64_t count, const int8_t* leaves, double* sums);

// The bits that are in all sets (all bits where there are none). `words` is a multiple of kRankedPadding.
void intersect(const uint32_t* const* sets, int64_t count, int64_t words, uint32_t* dst);

}  // namespace fastort::kernels
