#include "kernels/flat_trees.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/tree_question.h"

namespace fastort::kernels {

template <class T>
FlatTrees<T>::FlatTrees(std::span<const TreeNode> nodes, std::span<const TreeVote<T>> votes, int64_t targets,
                        int64_t features)
    : votes_(votes), targets_(targets) {
  // Nodes that no root leads to were not checked.
  for (const TreeNode& node : nodes)
    if (!node.leaf && node.feature >= 0 && node.feature < features) features_.push_back(node.feature);
  std::sort(features_.begin(), features_.end());
  features_.erase(std::unique(features_.begin(), features_.end()), features_.end());
  // A block of rows stays in the first cache beside a tree.
  constexpr int64_t kBlockItems = 16384 / sizeof(T);
  block_rows_ = kLanes * std::clamp<int64_t>(kBlockItems / (kLanes * (columns() + 1)), 1, 16);
  if (!votes.empty() &&
      std::all_of(votes.begin(), votes.end(), [&](const TreeVote<T>& vote) { return vote.target == votes[0].target; }))
    only_target_ = votes[0].target;
}

template <class T>
std::unique_ptr<const FlatTrees<T>> FlatTrees<T>::make(std::span<const TreeNode> nodes, std::span<const int64_t> roots,
                                                       std::span<const TreeVote<T>> votes, int64_t targets,
                                                       int64_t features) {
  constexpr int64_t kFewColumns = 4096;
  std::unique_ptr<FlatTrees> trees(new FlatTrees(nodes, votes, targets, features));
  if (!trees->lay_out(nodes, roots)) return nullptr;
  int64_t steps = 0;
  for (const Tree& tree : trees->trees_) steps += tree.depth;
  if (trees->columns() > std::max(kFewColumns, steps)) return nullptr;
  return trees;
}

template <class T>
bool FlatTrees<T>::lay_out(std::span<const TreeNode> nodes, std::span<const int64_t> roots) {
  constexpr int64_t kNarrow = std::numeric_limits<uint16_t>::max();
  if (sizeof(T) == sizeof(float) && kLanes * columns() <= kNarrow && lay_out_all(nodes, roots, narrow_)) return true;
  narrow_.clear();
  return lay_out_all(nodes, roots, wide_);
}

template <class T>
template <class Index>
bool FlatTrees<T>::lay_out_all(std::span<const TreeNode> nodes, std::span<const int64_t> roots,
                               std::vector<Node<Index>>& flat) {
  trees_.clear();
  missing_.clear();
  ranges_.clear();
  std::vector<bool> seen(nodes.size(), false);
  for (int64_t root : roots)
    if (!lay_out_tree(nodes, root, flat, seen)) return false;
  any_missing_ = std::any_of(missing_.begin(), missing_.end(), [](uint8_t missing) { return missing != 0; });
  return true;
}

template <class T>
template <class Index>
bool FlatTrees<T>::lay_out_tree(std::span<const TreeNode> nodes, int64_t root, std::vector<Node<Index>>& flat,
                                std::vector<bool>& seen) {
  struct Visit {
    int64_t node, place;
    int depth;
  };
  // Leaves' numbers are exact in float.
  constexpr int64_t kMost = std::min<int64_t>(std::numeric_limits<Index>::max(), 1 << 24);
  Tree tree{static_cast<int64_t>(flat.size()), static_cast<int64_t>(ranges_.size()), 0};
  flat.resize(flat.size() + 2);  // pairs of children are aligned
  missing_.resize(flat.size(), 0);
  std::vector<Visit> stack = {{root, 0, 0}};
  while (!stack.empty()) {
    const Visit visit = stack.back();
    stack.pop_back();
    const auto from = static_cast<size_t>(visit.node);
    if (seen[from]) return false;
    seen[from] = true;
    const auto at = static_cast<size_t>(tree.begin + visit.place);
    const TreeNode& node = nodes[from];
    if (node.leaf) {
      tree.depth = std::max(tree.depth, visit.depth);
      T value = static_cast<T>(static_cast<int64_t>(ranges_.size()) - tree.leaves);
      if (only_target_ >= 0) {
        value = 0;
        for (int64_t i = node.votes_begin; i < node.votes_end; ++i) value += votes_[static_cast<size_t>(i)].weight;
        if (std::isnan(value)) return false;
      } else {
        ranges_.push_back({static_cast<int32_t>(node.votes_begin), static_cast<int32_t>(node.votes_end)});
      }
      flat[at] = {value, static_cast<Index>(visit.place), static_cast<Index>(kLanes * columns())};
      continue;
    }
    TreeQuestion<T> question;
    if (!rephrase(node, question)) return false;
    const int64_t pair = static_cast<int64_t>(flat.size()) - tree.begin;
    if (pair + 1 > kMost) return false;
    flat.resize(flat.size() + 2);
    missing_.resize(flat.size(), 0);
    const int64_t column = std::lower_bound(features_.begin(), features_.end(), node.feature) - features_.begin();
    flat[at] = {question.threshold, static_cast<Index>(pair), static_cast<Index>(kLanes * column)};
    missing_[at] = question.missing_yes;
    stack.push_back({question.no, pair + 1, visit.depth + 1});
    stack.push_back({question.yes, pair, visit.depth + 1});
  }
  trees_.push_back(tree);
  return true;
}

// Transposes groups of kLanes rows, the last one filled up with zeros; true where there is a NaN.
template <class T>
bool FlatTrees<T>::load(const T* src, int64_t rows, int64_t stride, T* lanes) const {
  bool nan = false;
  for (int64_t group = 0; group < rows; group += kLanes, lanes += kLanes * (columns() + 1)) {
    const int64_t width = std::min(kLanes, rows - group);
    for (int64_t r = 0; r < width; ++r) {
      const T* row = src + (group + r) * stride;
      T* dst = lanes + r;
      for (int64_t feature : features_) {
        nan |= row[feature] != row[feature];
        *dst = row[feature];
        dst += kLanes;
      }
    }
    for (int64_t r = width; r < kLanes; ++r)
      for (int64_t c = 0; c < columns(); ++c) lanes[c * kLanes + r] = 0;
    std::fill_n(lanes + columns() * kLanes, kLanes, -std::numeric_limits<T>::infinity());
  }
  return nan;
}

template <class T>
void FlatTrees<T>::vote(const Tree& tree, T leaf, T* scores) const {
  const Range range = ranges_[static_cast<size_t>(tree.leaves + static_cast<int64_t>(leaf))];
  for (int32_t i = range.begin; i < range.end; ++i) {
    const TreeVote<T>& vote = votes_[static_cast<size_t>(i)];
    scores[vote.target] += vote.weight;
  }
}

template <class T>
template <bool kMissing, class Index>
void FlatTrees<T>::add_block(const std::vector<Node<Index>>& all, const T* lanes, int64_t rows, T* dst) const {
  constexpr auto kWidth = static_cast<size_t>(kLanes);
  constexpr int kStride = 4;  // levels between looks whether all have arrived
  const auto leaf = static_cast<Index>(kLanes * columns());
  // Where x leads from node `at`; a walk that has arrived stays.
  const auto next = [&](const Node<Index>* nodes, uint32_t at, const T* x) -> uint32_t {
    const Node<Index>& node = nodes[at];
    const T number = x[node.column];
    bool no = !(number <= node.value);
    if constexpr (kMissing) no = no && !(number != number && missing_[static_cast<size_t>(&node - all.data())] != 0);
    return node.child + static_cast<uint32_t>(no);
  };
  const auto put = [&](const Tree& tree, T value, int64_t row) {
    if (only_target_ >= 0)
      dst[row * targets_ + only_target_] += value;
    else
      vote(tree, value, dst + row * targets_);
  };

  // Eight rows side by side: each waits for memory at other times than its neighbours. A last group that is nearly full
  // walks with what `load` filled it up with.
  const int64_t tail = rows % kLanes, lone = tail <= kLanes / 2 ? rows - tail : rows;
  for (const Tree& tree : trees_) {
    const Node<Index>* nodes = all.data() + tree.begin;
    for (int64_t row = 0; row < lone; row += kLanes) {
      const T* x = lanes + row * (columns() + 1);
      uint32_t at[kWidth] = {};
      for (int left = tree.depth; left > 0; left -= kStride) {
        for (int level = 0; level < kStride; ++level) {
#pragma GCC unroll 8
          for (size_t r = 0; r < kWidth; ++r) at[r] = next(nodes, at[r], x + r);
        }
        if (left <= kStride || tree.depth - left < kStride) continue;
        bool arrived = true;
        for (size_t r = 0; r < kWidth; ++r) arrived &= nodes[at[r]].column == leaf;
        if (arrived) break;
      }
      const auto width = static_cast<size_t>(std::min(kLanes, rows - row));
      for (size_t r = 0; r < width; ++r) put(tree, nodes[at[r]].value, row + static_cast<int64_t>(r));
    }
  }

  // A few rows: eight trees side by side.
  for (int64_t row = lone; row < rows; ++row) {
    const T* x = lanes + lone * (columns() + 1) + (row - lone);
    for (size_t first = 0; first < trees_.size(); first += kWidth) {
      const size_t width = std::min(kWidth, trees_.size() - first);
      const Node<Index>* nodes[kWidth];
      uint32_t at[kWidth] = {};
      int depth = 0;
      for (size_t t = 0; t < kWidth; ++t) {
        const Tree& tree = trees_[first + std::min(t, width - 1)];
        nodes[t] = all.data() + tree.begin;
        depth = std::max(depth, tree.depth);
      }
      for (int level = 0; level < depth; ++level) {
#pragma GCC unroll 8
        for (size_t t = 0; t < kWidth; ++t) at[t] = next(nodes[t], at[t], x);
      }
      for (size_t t = 0; t < width; ++t) put(trees_[first + t], nodes[t][at[t]].value, row);
    }
  }
}

template <class T>
void FlatTrees<T>::add(const T* src, int64_t rows, int64_t stride, T* dst, T* scratch) const {
  for (int64_t row = 0; row < rows; row += block_rows_) {
    const int64_t count = std::min(block_rows_, rows - row);
    const bool missing = load(src + row * stride, count, stride, scratch) && any_missing_;
    T* scores = dst + row * targets_;
    if (!narrow_.empty())
      missing ? add_block<true>(narrow_, scratch, count, scores) : add_block<false>(narrow_, scratch, count, scores);
    else
      missing ? add_block<true>(wide_, scratch, count, scores) : add_block<false>(wide_, scratch, count, scores);
  }
}

template class FlatTrees<float>;
template class FlatTrees<double>;

}  // namespace fastort::kernels
