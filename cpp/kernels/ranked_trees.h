#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/ranked_trees_tile.h"
#include "kernels/trees.h"

namespace fastort::kernels {

// Trees of few leaves that all ask `x <= threshold`. A number is replaced by its rank among the thresholds of its
// feature, which answers every question exactly and fits a byte.
//
// Many rows: all nodes of a tree are evaluated for a tile of rows, the lowest first; each node chooses between the
// leaves that its children chose. Few rows: a threshold that a row exceeds takes the leaves before it out of a set of
// bits; of a row's set in each tree the first leaf that is left is where the row arrives.
template <class T>
class RankedTrees {
 public:
  static constexpr int64_t kTile = kRankedTile;

  // nullptr where the trees are of another kind (see `rephrase`, and a node with two parents), have too many leaves, or
  // are walked faster. The votes must outlive this; nodes, targets and features were checked.
  static std::unique_ptr<const RankedTrees> make(std::span<const TreeNode> nodes, std::span<const int64_t> roots,
                                                 std::span<const TreeVote<T>> votes, int64_t targets);

  // Whether less than a tile of rows goes faster than through a walk.
  bool takes_few_rows() const noexcept { return max_leaves_ <= 64; }
  int64_t scratch() const noexcept;  // bytes that `add` takes

  // Adds the weights of all votes for src [rows, stride] to dst [rows, targets], tree after tree.
  void add(const T* src, int64_t rows, int64_t stride, T* dst, std::byte* scratch) const;

 private:
  // Of the thresholds of one feature, up to 255 that one column of ranks tells apart.
  struct Column {
    int32_t base, count;  // of thresholds below them, and of theirs
    bool missing_yes;
    int64_t ends;       // of the removals, among ends_: for each rank those of lower thresholds
    int64_t snapshots;  // among those of all columns
    int32_t rank(uint32_t of_feature, T x) const;
  };
  struct Feature {
    int64_t source = 0;         // in a row
    std::vector<T> thresholds;  // of all levels, the lowest first
    RankLevels<T> levels{};
    int64_t first_column = 0, columns = 0;
    void lay_out(std::vector<T> sorted);
  };
  template <class Bits>
  struct Removal {
    Bits keep;
    uint32_t tree;
  };
  struct Range {
    int32_t begin, end;
  };
  // From this rank on, only the leaves of `keep` are left in the tree.
  struct Step {
    int64_t column;
    int32_t limit;
    uint32_t tree;
    uint64_t keep;
  };
  struct Survey;

  RankedTrees() = default;
  void lay_out_columns(const Survey& survey);
  void lay_out_tree(std::span<const TreeNode> nodes, int64_t root, std::vector<Step>& steps);
  template <class Bits>
  void lay_out_removals(std::span<const Step> steps, std::vector<Removal<Bits>>& removals);
  void add_leaf(const TreeNode& node, RankedTree& tree, bool first);
  int64_t column_of(int64_t feature, bool missing_yes, T threshold, int32_t& limit) const;
  template <class Bits>
  void add_row(const T* row, const std::vector<Removal<Bits>>& removals, T* dst, std::byte* scratch) const;
  int64_t words() const noexcept;  // of the sets of all trees
  void load(const T* src, int64_t rows, int64_t stride, int8_t* ranks) const;
  void add_tile(const T* src, int64_t rows, int64_t stride, T* dst, std::byte* scratch) const;
  void vote(const RankedTree& tree, int64_t leaf, T* scores) const;

  std::vector<Feature> features_;
  std::vector<Column> columns_;
  std::vector<RankedTree> trees_;
  std::vector<uint32_t> first_leaves_;  // of each tree
  std::vector<RankedOp> ops_;
  std::vector<T> values_;      // of each leaf of trees with a target
  std::vector<Range> ranges_;  // of each leaf: its votes
  std::vector<Removal<uint32_t>> narrow_;
  std::vector<Removal<uint64_t>> wide_;
  std::vector<uint32_t> ends_;
  std::vector<uint32_t> snapshots_;  // each `words` long; every spacing_ removals of a column
  std::span<const TreeVote<T>> votes_;
  int64_t targets_ = 1, max_leaves_ = 1, max_ops_ = 0, spacing_ = 0;
  int64_t only_target_ = -1;  // that all trees have
  bool all_targeted_ = true;  // all trees have a target
};

}  // namespace fastort::kernels
