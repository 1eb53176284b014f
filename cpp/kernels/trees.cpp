#include "kernels/trees.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "kernels/flat_trees.h"
#include "kernels/ranked_trees.h"

namespace fastort::kernels {
namespace {

// Rows that go down a tree side by side: each waits for memory at other times than its neighbours.
constexpr int64_t kRows = 8;
// Up to as many rows are walked, where RankedTrees takes no few.
constexpr int64_t kFewRows = 8;

template <class T>
bool holds(TreeCompare compare, T x, T threshold) {
  switch (compare) {
    case TreeCompare::LessEqual:
      return x <= threshold;
    case TreeCompare::Less:
      return x < threshold;
    case TreeCompare::GreaterEqual:
      return x >= threshold;
    case TreeCompare::Greater:
      return x > threshold;
    case TreeCompare::Equal:
      return x == threshold;
    case TreeCompare::NotEqual:
      return x != threshold;
  }
  return false;
}

}  // namespace

template <class T>
Trees<T>::Trees(std::span<const TreeNode> nodes, std::span<const int64_t> roots, std::vector<TreeVote<T>> votes,
                int64_t targets, TreeAggregate aggregate)
    : votes_(std::move(votes)), targets_(targets), aggregate_(aggregate) {
  constexpr size_t kMost = std::numeric_limits<int32_t>::max();
  if (nodes.size() > kMost || votes_.size() > kMost) not_implemented("more than 2^31 nodes or leaf weights");
  for (const TreeVote<T>& vote : votes_)
    if (vote.target < 0 || vote.target >= targets)
      invalid_graph("leaf weight for target " + std::to_string(vote.target) + " of " + std::to_string(targets));
  lay_out(nodes, roots);
  if (aggregate != TreeAggregate::Sum && aggregate != TreeAggregate::Average) return;
  ranked_ = RankedTrees<T>::make(nodes, roots, votes_, targets);
  if (!ranked_ || !ranked_->takes_few_rows()) flat_ = FlatTrees<T>::make(nodes, roots, votes_, targets, features_);
  if (!ranked_ && !flat_) return;
  nodes_ = {};
  ranges_ = {};
}

template <class T>
Trees<T>::~Trees() = default;

template <class T>
int64_t Trees<T>::scratch() const noexcept {
  const int64_t flat = flat_ ? flat_->scratch() : 0;
  const auto size = static_cast<int64_t>(sizeof(T));
  return ranked_ ? std::max(flat, (ranked_->scratch() + size - 1) / size) : flat;
}

template <class T>
int64_t Trees<T>::rows_at_once() const noexcept {
  return ranked_ ? RankedTrees<T>::kTile : kRows;
}

template <class T>
int64_t Trees<T>::row_nanoseconds() const noexcept {
  return static_cast<int64_t>(roots_.size()) * (ranked_ ? 1 : 30) + features_;
}

template <class T>
void Trees<T>::lay_out(std::span<const TreeNode> nodes, std::span<const int64_t> roots) {
  enum : uint8_t { kNew, kOpen, kDone };
  struct Visit {
    int64_t node;
    bool leave;
  };
  const auto count = static_cast<int64_t>(nodes.size());
  std::vector<uint8_t> states(nodes.size(), kNew);
  std::vector<int32_t> places(nodes.size(), -1);
  std::vector<int64_t> order;
  std::vector<Visit> stack;
  for (int64_t root : roots) {
    stack.push_back({root, false});
    while (!stack.empty()) {
      const Visit visit = stack.back();
      stack.pop_back();
      if (visit.node < 0 || visit.node >= count)
        invalid_graph("a tree leads to node " + std::to_string(visit.node) + " of " + std::to_string(count));
      const auto i = static_cast<size_t>(visit.node);
      if (visit.leave) {
        states[i] = kDone;
        continue;
      }
      if (states[i] == kOpen) invalid_graph("node " + std::to_string(visit.node) + " of a tree is its own descendant");
      if (states[i] == kDone) continue;
      places[i] = static_cast<int32_t>(order.size());
      order.push_back(visit.node);
      if (nodes[i].leaf) {
        states[i] = kDone;
        continue;
      }
      states[i] = kOpen;
      stack.push_back({visit.node, true});
      stack.push_back({nodes[i].on_false, false});
      stack.push_back({nodes[i].on_true, false});
    }
    roots_.push_back(places[static_cast<size_t>(root)]);
  }
  bool first = true;
  for (int64_t from : order) {
    const TreeNode& node = nodes[static_cast<size_t>(from)];
    const int32_t place = places[static_cast<size_t>(from)];
    if (node.leaf) {
      nodes_.push_back({T(0), 0, 0, 0, 0, 0});
      ranges_.push_back({static_cast<int32_t>(node.votes_begin), static_cast<int32_t>(node.votes_end)});
      continue;
    }
    if (node.feature < 0 || node.feature > kMaxFeature)
      invalid_graph("feature " + std::to_string(node.feature) + " of a tree's node is outside [0, " +
                    std::to_string(kMaxFeature) + "]");
    features_ = std::max(features_, node.feature + 1);
    if (!first && node.compare != compare_) uniform_ = false;
    if (first) compare_ = node.compare;
    first = false;
    nodes_.push_back({static_cast<T>(node.threshold), places[static_cast<size_t>(node.on_true)] - place,
                      places[static_cast<size_t>(node.on_false)] - place,
                      static_cast<uint32_t>(node.feature) & 0xffffffu, static_cast<uint32_t>(node.compare) & 0x7fu,
                      node.missing_true});
    ranges_.push_back({0, 0});
  }
}

template <class T>
void Trees<T>::vote(int32_t leaf, T* scores) const {
  const Range range = ranges_[static_cast<size_t>(leaf)];
  for (int32_t i = range.begin; i < range.end; ++i) {
    const TreeVote<T>& vote = votes_[static_cast<size_t>(i)];
    T& score = scores[vote.target];
    switch (aggregate_) {
      case TreeAggregate::Average:
      case TreeAggregate::Sum:
        score += vote.weight;
        break;
      case TreeAggregate::Min:
        score = std::isnan(score) ? vote.weight : std::min(score, vote.weight);
        break;
      case TreeAggregate::Max:
        score = std::isnan(score) ? vote.weight : std::max(score, vote.weight);
        break;
    }
  }
}

template <class T>
template <class Compare>
void Trees<T>::run_with(const T* src, int64_t rows, int64_t features, T* dst, Compare compare) const {
  for (int64_t row = 0; row < rows; row += kRows) {
    const int64_t width = std::min(kRows, rows - row);
    const T* block = src + row * features;
    T* scores = dst + row * targets_;
    for (int32_t root : roots_) {
      int32_t at[kRows];
      std::fill_n(at, kRows, root);
      for (int32_t moved = 1; moved != 0;) {
        moved = 0;
        for (int64_t r = 0; r < width; ++r) {
          const Node& node = nodes_[static_cast<size_t>(at[r])];
          const T x = block[r * features + node.feature];
          const bool taken = compare(node, x) || (node.missing_true && x != x);
          const int32_t step = taken ? node.true_step : node.false_step;
          at[r] += step;
          moved |= step;
        }
      }
      for (int64_t r = 0; r < width; ++r) vote(at[r], scores + r * targets_);
    }
  }
}

template <class T>
void Trees<T>::run(const T* src, int64_t rows, int64_t features, T* dst, T* scratch) const {
  const bool extreme = aggregate_ == TreeAggregate::Min || aggregate_ == TreeAggregate::Max;
  const int64_t scores = rows * targets_;
  std::fill_n(dst, scores, extreme ? std::numeric_limits<T>::quiet_NaN() : T(0));
  if (ranked_ && (ranked_->takes_few_rows() || !flat_ || rows > kFewRows))
    ranked_->add(src, rows, features, dst, reinterpret_cast<std::byte*>(scratch));
  else if (flat_)
    flat_->add(src, rows, features, dst, scratch);
  else if (uniform_ && compare_ == TreeCompare::LessEqual)
    run_with(src, rows, features, dst, [](const Node& node, T x) { return x <= node.threshold; });
  else if (uniform_ && compare_ == TreeCompare::Less)
    run_with(src, rows, features, dst, [](const Node& node, T x) { return x < node.threshold; });
  else
    run_with(src, rows, features, dst,
             [](const Node& node, T x) { return holds(static_cast<TreeCompare>(node.compare), x, node.threshold); });
  if (extreme)
    std::replace_if(
        dst, dst + scores, [](T score) { return std::isnan(score); }, T(0));
  if (aggregate_ == TreeAggregate::Average && !roots_.empty())
    for (int64_t i = 0; i < scores; ++i) dst[i] /= static_cast<T>(roots_.size());
}

template class Trees<float>;
template class Trees<double>;

}  // namespace fastort::kernels
