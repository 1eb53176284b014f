#include "kernels/ranked_trees.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "kernels/tree_question.h"

namespace fastort::kernels {
namespace {

constexpr int64_t kMostLeaves = 256;
constexpr int64_t kColumnRanks = 255;  // thresholds of a column
constexpr int64_t kLowestRank = -128;
// Up to as many rows at the end go through the trees one by one.
constexpr int64_t kFewRows = 15;
// Snapshots fit the second-level cache.
constexpr int64_t kLeastSpacing = 128, kSnapshotBytes = 256 << 10;

// What was measured on a core of 3.2 GHz, in picoseconds a row: to find a rank, to evaluate a node, to add a leaf's
// value; to go down a level of a tree with eight rows side by side.
constexpr int64_t kRankCost = 5000, kNodeCost = 20, kLeafCost = 500, kLevelCost = 900;

int64_t units(int64_t place) { return place * kRankedTile / kRankedUnit; }

struct Inner {
  int64_t node;
  int depth;
  int64_t yes, no;      // inner nodes by their number in the tree, leaves as ~number
  int64_t first, last;  // leaves that only `yes` leads to
};

// The nodes of one tree, leaves numbered from `yes` to `no`.
struct Outline {
  std::vector<Inner> inner;
  std::vector<int64_t> leaves;
};

// false where the tree is of another kind or has too many leaves.
template <class T>
bool outline(std::span<const TreeNode> nodes, int64_t root, Outline& tree) {
  struct Visit {
    int64_t node, parent;
    bool yes;
  };
  tree.inner.clear();
  tree.leaves.clear();
  std::vector<Visit> stack = {{root, -1, false}};
  while (!stack.empty()) {
    const Visit visit = stack.back();
    stack.pop_back();
    const TreeNode& node = nodes[static_cast<size_t>(visit.node)];
    const auto leaf = static_cast<int64_t>(tree.leaves.size()), place = static_cast<int64_t>(tree.inner.size());
    int depth = 0;
    if (visit.parent >= 0) {
      Inner& parent = tree.inner[static_cast<size_t>(visit.parent)];
      depth = parent.depth + 1;
      (visit.yes ? parent.yes : parent.no) = node.leaf ? ~leaf : place;
      if (!visit.yes) parent.last = leaf;
    }
    if (node.leaf) {
      if (leaf == kMostLeaves) return false;
      tree.leaves.push_back(visit.node);
      continue;
    }
    TreeQuestion<T> question;
    if (!rephrase(node, question) || place == kMostLeaves) return false;
    tree.inner.push_back({visit.node, depth, 0, 0, leaf, 0});
    stack.push_back({question.no, place, false});
    stack.push_back({question.yes, place, true});
  }
  return true;
}

}  // namespace

// What all trees ask.
template <class T>
struct RankedTrees<T>::Survey {
  struct Asked {
    int64_t feature;
    T threshold;
    bool missing_yes;
  };
  std::vector<Asked> asked;  // of each inner node; sorted
  int64_t leaves = 1, inner = 0, levels = 0;

  bool make(std::span<const TreeNode> nodes, std::span<const int64_t> roots) {
    std::vector<bool> seen(nodes.size(), false);
    auto fresh = [&](int64_t node) {
      const bool old = seen[static_cast<size_t>(node)];
      seen[static_cast<size_t>(node)] = true;
      return !old;
    };
    Outline tree;
    for (int64_t root : roots) {
      if (!outline<T>(nodes, root, tree)) return false;
      for (int64_t leaf : tree.leaves)
        if (!fresh(leaf)) return false;
      int depth = 0;
      for (const Inner& inner : tree.inner) {
        if (!fresh(inner.node)) return false;
        const TreeNode& node = nodes[static_cast<size_t>(inner.node)];
        TreeQuestion<T> question;
        rephrase(node, question);
        asked.push_back({node.feature, question.threshold, question.missing_yes});
        depth = std::max(depth, inner.depth + 1);
      }
      leaves = std::max(leaves, static_cast<int64_t>(tree.leaves.size()));
      inner = std::max(inner, static_cast<int64_t>(tree.inner.size()));
      levels += depth;
    }
    std::sort(asked.begin(), asked.end(), [](const Asked& a, const Asked& b) {
      return a.feature != b.feature ? a.feature < b.feature : a.threshold < b.threshold;
    });
    return true;
  }
};

template <class T>
std::unique_ptr<const RankedTrees<T>> RankedTrees<T>::make(std::span<const TreeNode> nodes,
                                                           std::span<const int64_t> roots,
                                                           std::span<const TreeVote<T>> votes, int64_t targets) {
  Survey survey;
  if (!survey.make(nodes, roots) || survey.asked.empty()) return nullptr;
  std::unique_ptr<RankedTrees> trees(new RankedTrees);
  trees->votes_ = votes;
  trees->targets_ = targets;
  trees->max_leaves_ = survey.leaves;
  trees->max_ops_ = survey.inner;
  trees->lay_out_columns(survey);
  const auto columns = static_cast<int64_t>(trees->columns_.size());
  if (units(columns) > std::numeric_limits<uint16_t>::max()) return nullptr;
  const auto count = static_cast<int64_t>(roots.size());
  const int64_t cost = kRankCost * static_cast<int64_t>(trees->features_.size()) +
                       kNodeCost * static_cast<int64_t>(survey.asked.size()) + kLeafCost * count;
  if (cost > kLevelCost * survey.levels) return nullptr;
  std::vector<Step> steps;
  for (int64_t root : roots) trees->lay_out_tree(nodes, root, steps);
  trees->values_.resize(trees->values_.size() + kRankedPadding);
  if (survey.leaves <= 32)
    trees->lay_out_removals(steps, trees->narrow_);
  else if (trees->takes_few_rows())
    trees->lay_out_removals(steps, trees->wide_);
  return trees;
}

// Takes the sorted thresholds of a feature.
template <class T>
void RankedTrees<T>::Feature::lay_out(std::vector<T> sorted) {
  thresholds = std::move(sorted);
  levels.count = static_cast<uint32_t>(thresholds.size());
  constexpr size_t kBlock = kRankedBlock;
  size_t begins[kMostRankLevels] = {};
  for (size_t begin = 0, end = 0;; begin = end) {
    end = begin + (thresholds.size() - begin + kBlock - 1) / kBlock * kBlock;
    thresholds.resize(end, std::numeric_limits<T>::infinity());
    levels.last_blocks[levels.depth] = static_cast<uint32_t>((end - begin) / kBlock - 1);
    begins[levels.depth++] = begin;
    if (end - begin == kBlock) break;
    for (size_t last = begin + kBlock - 1; last < end; last += kBlock) thresholds.push_back(thresholds[last]);
  }
  std::reverse(begins, begins + levels.depth);
  std::reverse(levels.last_blocks, levels.last_blocks + levels.depth);
  for (int level = 0; level < levels.depth; ++level) levels.levels[level] = thresholds.data() + begins[level];
}

template <class T>
void RankedTrees<T>::lay_out_columns(const Survey& survey) {
  const auto& asked = survey.asked;
  for (size_t begin = 0, end = 0; begin < asked.size(); begin = end) {
    Feature& feature = features_.emplace_back();
    feature.source = asked[begin].feature;
    feature.first_column = static_cast<int64_t>(columns_.size());
    std::vector<T> sorted;
    bool kinds[2] = {false, false};
    for (; end < asked.size() && asked[end].feature == feature.source; ++end) {
      if (sorted.empty() || asked[end].threshold != sorted.back()) sorted.push_back(asked[end].threshold);
      kinds[asked[end].missing_yes] = true;
    }
    const auto count = static_cast<int64_t>(sorted.size());
    for (int64_t base = 0; base < count; base += kColumnRanks)
      for (bool missing_yes : {false, true})
        if (kinds[missing_yes])
          columns_.push_back({static_cast<int32_t>(base), static_cast<int32_t>(std::min(kColumnRanks, count - base)),
                              missing_yes, 0, 0});
    feature.columns = static_cast<int64_t>(columns_.size()) - feature.first_column;
    feature.lay_out(std::move(sorted));
  }
}

template <class T>
int64_t RankedTrees<T>::column_of(int64_t source, bool missing_yes, T threshold, int32_t& limit) const {
  const Feature& feature = *std::lower_bound(features_.begin(), features_.end(), source,
                                             [](const Feature& each, int64_t wanted) { return each.source < wanted; });
  const auto sorted = std::span(feature.thresholds).first(feature.levels.count);
  const auto rank = static_cast<int32_t>(std::lower_bound(sorted.begin(), sorted.end(), threshold) - sorted.begin());
  for (int64_t at = feature.first_column;; ++at) {
    const Column& column = columns_[static_cast<size_t>(at)];
    if (rank >= column.base + column.count || column.missing_yes != missing_yes) continue;
    limit = rank - column.base + 1;
    return at;
  }
}

// Its range of votes and, in trees with a target, its value; `first` of its tree.
template <class T>
void RankedTrees<T>::add_leaf(const TreeNode& node, RankedTree& tree, bool first) {
  T value = 0;
  for (int64_t i = node.votes_begin; i < node.votes_end; ++i) {
    const TreeVote<T>& vote = votes_[static_cast<size_t>(i)];
    if (first && i == node.votes_begin) tree.target = vote.target;
    if (vote.target != tree.target) tree.target = -1;
    value += vote.weight;
  }
  if (node.votes_begin == node.votes_end) tree.target = -1;
  values_.push_back(value);
  ranges_.push_back({static_cast<int32_t>(node.votes_begin), static_cast<int32_t>(node.votes_end)});
}

template <class T>
void RankedTrees<T>::lay_out_tree(std::span<const TreeNode> nodes, int64_t root, std::vector<Step>& steps) {
  Outline from;
  outline<T>(nodes, root, from);
  const auto begin = static_cast<int64_t>(ops_.size()), count = static_cast<int64_t>(from.inner.size());
  const auto leaves = static_cast<int64_t>(values_.size()), leaf_count = static_cast<int64_t>(from.leaves.size());
  RankedTree tree{begin, begin + count, leaves, leaf_count, -1};
  for (size_t i = 0; i < from.leaves.size(); ++i) add_leaf(nodes[static_cast<size_t>(from.leaves[i])], tree, i == 0);
  // Nodes of one depth do not wait for each other.
  std::vector<size_t> order(from.inner.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return from.inner[a].depth > from.inner[b].depth; });
  std::vector<int64_t> places(order.size());
  for (size_t i = 0; i < order.size(); ++i) places[order[i]] = max_leaves_ + static_cast<int64_t>(i);
  auto place = [&](int64_t child) {
    return static_cast<uint16_t>(units(child < 0 ? ~child : places[static_cast<size_t>(child)]));
  };
  for (size_t i : order) {
    const Inner& inner = from.inner[i];
    const TreeNode& node = nodes[static_cast<size_t>(inner.node)];
    TreeQuestion<T> question;
    rephrase(node, question);
    int32_t limit = 0;
    const int64_t column = column_of(node.feature, question.missing_yes, question.threshold, limit);
    if (takes_few_rows()) {
      const uint64_t gone = ((uint64_t{1} << (inner.last - inner.first)) - 1) << inner.first;
      steps.push_back({column, limit, static_cast<uint32_t>(trees_.size()), ~gone});
    }
    ops_.push_back({static_cast<uint16_t>(units(column)), place(inner.yes), place(inner.no),
                    static_cast<int8_t>(limit + kLowestRank)});
  }
  all_targeted_ &= tree.target >= 0;
  only_target_ = trees_.empty() || tree.target == only_target_ ? tree.target : -1;
  trees_.push_back(tree);
  first_leaves_.push_back(static_cast<uint32_t>(leaves));
}

// Sorts the steps by column and limit.
template <class T>
template <class Bits>
void RankedTrees<T>::lay_out_removals(std::span<const Step> steps, std::vector<Removal<Bits>>& removals) {
  for (Column& column : columns_) {
    column.ends = static_cast<int64_t>(ends_.size());
    ends_.resize(ends_.size() + static_cast<size_t>(column.count) + 1, 0);
  }
  auto key = [&](const Step& step) {
    return static_cast<size_t>(columns_[static_cast<size_t>(step.column)].ends + step.limit);
  };
  for (const Step& step : steps) ++ends_[key(step)];
  for (size_t i = 1; i < ends_.size(); ++i) ends_[i] += ends_[i - 1];
  std::vector<uint32_t> next(ends_.begin(), ends_.end());
  removals.resize(steps.size());
  for (const Step& step : steps) removals[next[key(step) - 1]++] = {static_cast<Bits>(step.keep), step.tree};

  const auto set_bytes = static_cast<size_t>(words()) * sizeof(uint32_t);
  spacing_ = std::max(kLeastSpacing, static_cast<int64_t>(steps.size() * set_bytes) / kSnapshotBytes);
  std::vector<Bits> left(set_bytes / sizeof(Bits));
  for (Column& column : columns_) {
    column.snapshots = static_cast<int64_t>(snapshots_.size()) / words();
    std::fill(left.begin(), left.end(), ~Bits{0});
    const uint32_t* ends = ends_.data() + column.ends;
    for (uint32_t at = ends[0]; at < ends[column.count]; ++at) {
      if (at > ends[0] && (at - ends[0]) % spacing_ == 0) {
        const size_t end = snapshots_.size();
        snapshots_.resize(end + set_bytes / sizeof(uint32_t));
        std::memcpy(snapshots_.data() + end, left.data(), set_bytes);
      }
      left[removals[at].tree] &= removals[at].keep;
    }
  }
}

template <class T>
int64_t RankedTrees<T>::words() const noexcept {
  const auto bits = static_cast<int64_t>(trees_.size()) * (max_leaves_ <= 32 ? 1 : 2);
  const int64_t blocks = (bits + kRankedPadding - 1) / kRankedPadding;
  // An odd number of cache lines: equal places of the snapshots are in different sets of the cache.
  return (blocks | 1) * kRankedPadding;
}

template <class T>
int64_t RankedTrees<T>::scratch() const noexcept {
  const auto columns = static_cast<int64_t>(columns_.size());
  const int64_t tile = (columns + max_leaves_ + max_ops_ + targets_ * static_cast<int64_t>(sizeof(T))) * kTile;
  const auto word = static_cast<int64_t>(sizeof(uint32_t)), pointer = static_cast<int64_t>(sizeof(void*));
  const int64_t row = words() * word + 2 * columns * pointer;
  return kTile + std::max(tile, row);
}

template <class T>
int32_t RankedTrees<T>::Column::rank(uint32_t of_feature, T x) const {
  return missing_yes && x != x ? 0 : std::clamp(static_cast<int32_t>(of_feature) - base, 0, count);
}

// The ranks of up to kTile rows in each column.
template <class T>
void RankedTrees<T>::load(const T* src, int64_t rows, int64_t stride, int8_t* ranks) const {
  uint32_t of_feature[kTile];
  for (const Feature& feature : features_) {
    find_ranks(feature.levels, src + feature.source, rows, stride, of_feature);
    for (int64_t c = feature.first_column; c < feature.first_column + feature.columns; ++c) {
      const Column& column = columns_[static_cast<size_t>(c)];
      int8_t* dst = ranks + c * kTile;
      for (int64_t r = 0; r < rows; ++r)
        dst[r] = static_cast<int8_t>(column.rank(of_feature[r], src[r * stride + feature.source]) + kLowestRank);
    }
  }
}

template <class T>
void RankedTrees<T>::vote(const RankedTree& tree, int64_t leaf, T* scores) const {
  if (tree.target >= 0) {
    scores[tree.target] += values_[static_cast<size_t>(tree.leaves + leaf)];
    return;
  }
  const Range range = ranges_[static_cast<size_t>(tree.leaves + leaf)];
  for (int32_t i = range.begin; i < range.end; ++i) {
    const TreeVote<T>& vote = votes_[static_cast<size_t>(i)];
    scores[vote.target] += vote.weight;
  }
}

template <class T>
template <class Bits>
void RankedTrees<T>::add_row(const T* row, const std::vector<Removal<Bits>>& removals, T* dst,
                             std::byte* scratch) const {
  struct Rest {
    uint32_t begin, end;
  };
  static_assert(sizeof(Rest) <= sizeof(void*));
  const auto columns = static_cast<int64_t>(columns_.size());
  Bits* left = reinterpret_cast<Bits*>(scratch);
  auto* snapshots = reinterpret_cast<const uint32_t**>(scratch + words() * static_cast<int64_t>(sizeof(uint32_t)));
  auto* rests = reinterpret_cast<Rest*>(snapshots + columns);
  int64_t taken = 0;
  for (const Feature& feature : features_) {
    const T x = row[feature.source];
    uint32_t of_feature = 0;
    find_ranks(feature.levels, &x, 1, 1, &of_feature);
    for (int64_t c = feature.first_column; c < feature.first_column + feature.columns; ++c) {
      const Column& column = columns_[static_cast<size_t>(c)];
      const int32_t rank = column.rank(of_feature, x);
      const uint32_t* ends = ends_.data() + column.ends;
      const int64_t passed = ends[rank] == ends[0] ? 0 : (ends[rank] - ends[0] - 1) / spacing_;
      if (passed > 0) snapshots[taken++] = snapshots_.data() + (column.snapshots + passed - 1) * words();
      rests[c] = {ends[0] + static_cast<uint32_t>(passed * spacing_), ends[rank]};
    }
  }
  intersect(snapshots, taken, words(), reinterpret_cast<uint32_t*>(scratch));
  for (int64_t c = 0; c < columns; ++c) {
    const Removal<Bits>* end = removals.data() + rests[c].end;
    for (const Removal<Bits>* at = removals.data() + rests[c].begin; at != end; ++at) left[at->tree] &= at->keep;
  }
  if (only_target_ < 0) {
    for (size_t t = 0; t < trees_.size(); ++t) vote(trees_[t], std::countr_zero(left[t]), dst);
    return;
  }
  T sum = dst[only_target_];
  for (size_t t = 0; t < trees_.size(); ++t)
    sum += values_[first_leaves_[t] + static_cast<size_t>(std::countr_zero(left[t]))];
  dst[only_target_] = sum;
}

template <class T>
void RankedTrees<T>::add_tile(const T* src, int64_t rows, int64_t stride, T* dst, std::byte* scratch) const {
  auto* ranks = reinterpret_cast<int8_t*>(scratch);
  int8_t* chosen = ranks + static_cast<int64_t>(columns_.size()) * kTile;
  T* sums = reinterpret_cast<T*>(chosen + (max_leaves_ + max_ops_) * kTile);
  for (int64_t leaf = 0; leaf < max_leaves_; ++leaf) std::memset(chosen + leaf * kTile, static_cast<int>(leaf), kTile);
  std::fill_n(sums, targets_ * kTile, T(0));
  load(src, rows, stride, ranks);
  for (const RankedTree& tree : trees_) {
    const int8_t* leaves =
        choose_leaves(ops_.data() + tree.ops_begin, tree.ops_end - tree.ops_begin, ranks, chosen, max_leaves_);
    if (all_targeted_)
      add_leaf_values(values_.data() + tree.leaves, tree.count, leaves, sums + tree.target * kTile);
    else
      for (int64_t r = 0; r < rows; ++r) vote(tree, static_cast<uint8_t>(leaves[r]), dst + r * targets_);
  }
  if (!all_targeted_) return;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t t = 0; t < targets_; ++t) dst[r * targets_ + t] += sums[t * kTile + r];
}

template <class T>
void RankedTrees<T>::add(const T* src, int64_t rows, int64_t stride, T* dst, std::byte* scratch) const {
  scratch += -reinterpret_cast<uintptr_t>(scratch) % kTile;
  for (int64_t row = 0; row < rows;) {
    const int64_t count = std::min(kTile, rows - row);
    if (count > kFewRows || !takes_few_rows()) {
      add_tile(src + row * stride, count, stride, dst + row * targets_, scratch);
      row += count;
      continue;
    }
    narrow_.empty() ? add_row(src + row * stride, wide_, dst + row * targets_, scratch)
                    : add_row(src + row * stride, narrow_, dst + row * targets_, scratch);
    ++row;
  }
}

template class RankedTrees<float>;
template class RankedTrees<double>;

}  // namespace fastort::kernels
