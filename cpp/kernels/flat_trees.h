#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/trees.h"

namespace fastort::kernels {

// Trees that all ask `x <= threshold`, laid out for walks without branches: the two children of a node stand side by
// side, and a leaf is its own child.
template <class T>
class FlatTrees {
 public:
  static constexpr int64_t kLanes = 8;

  // nullptr where the trees are of another kind: a node has two parents, asks for equality, or a number is NaN; or
  // where there are so many features that copying them would take longer than the walks. The votes must outlive this;
  // nodes, targets and features were checked.
  static std::unique_ptr<const FlatTrees> make(std::span<const TreeNode> nodes, std::span<const int64_t> roots,
                                               std::span<const TreeVote<T>> votes, int64_t targets, int64_t features);

  // Items of scratch that `add` takes.
  int64_t scratch() const noexcept { return block_rows_ * (columns() + 1); }

  // Adds the weights of all votes for src [rows, stride] to dst [rows, targets].
  void add(const T* src, int64_t rows, int64_t stride, T* dst, T* scratch) const;

 private:
  // A leaf asks for the column behind those of the features, which holds -infinity.
  template <class Index>
  struct Node {
    T value;       // threshold; of a leaf its vote, or its number in the tree
    Index child;   // where x <= value; the next one where not
    Index column;  // kLanes times the place among features_
  };
  struct Tree {
    int64_t begin;  // among the nodes
    int64_t leaves;
    int depth;
  };
  struct Range {
    int32_t begin, end;
  };

  FlatTrees(std::span<const TreeNode> nodes, std::span<const TreeVote<T>> votes, int64_t targets, int64_t features);
  int64_t columns() const noexcept { return static_cast<int64_t>(features_.size()); }
  bool lay_out(std::span<const TreeNode> nodes, std::span<const int64_t> roots);
  template <class Index>
  bool lay_out_tree(std::span<const TreeNode> nodes, int64_t root, std::vector<Node<Index>>& flat,
                    std::vector<bool>& seen);
  template <class Index>
  bool lay_out_all(std::span<const TreeNode> nodes, std::span<const int64_t> roots, std::vector<Node<Index>>& flat);

  bool load(const T* src, int64_t rows, int64_t stride, T* lanes) const;
  template <bool kMissing, class Index>
  void add_block(const std::vector<Node<Index>>& nodes, const T* lanes, int64_t rows, T* dst) const;
  void vote(const Tree& tree, T leaf, T* scores) const;

  std::vector<Node<uint16_t>> narrow_;  // one of the two is empty
  std::vector<Node<uint32_t>> wide_;
  std::vector<Tree> trees_;
  std::vector<uint8_t> missing_;  // for each node: NaN goes to the first child
  bool any_missing_ = false;
  std::vector<Range> ranges_;  // the votes of each leaf
  std::span<const TreeVote<T>> votes_;
  std::vector<int64_t> features_;  // that nodes ask for
  int64_t targets_, block_rows_;
  int64_t only_target_ = -1;  // that all leaves vote for
};

}  // namespace fastort::kernels
