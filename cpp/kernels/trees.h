#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace fastort::kernels {

enum class TreeCompare : uint8_t { LessEqual, Less, GreaterEqual, Greater, Equal, NotEqual };
enum class TreeAggregate : uint8_t { Average, Sum, Min, Max };

// A node as a model describes it. Children are positions in the list of nodes; two nodes may share a child.
struct TreeNode {
  bool leaf = false;
  bool missing_true = false;  // NaN goes where `compare` leads, and also on_true where this is set
  TreeCompare compare = TreeCompare::LessEqual;
  int64_t feature = 0;
  double threshold = 0;
  int64_t on_true = 0, on_false = 0;
  int64_t votes_begin = 0, votes_end = 0;  // of a leaf
};

template <class T>
struct TreeVote {
  int64_t target;
  T weight;
};

template <class T>
class FlatTrees;
template <class T>
class RankedTrees;

// Decision trees of any kind. Those that RankedTrees or FlatTrees takes are evaluated there; the others lie in one
// array of nodes in preorder, so that a true branch mostly continues on the same cache line.
template <class T>
class Trees {
 public:
  static constexpr int64_t kMaxFeature = (1 << 24) - 1;

  // All positions, features and targets are checked; throws InvalidGraph for nodes that are no trees.
  Trees(std::span<const TreeNode> nodes, std::span<const int64_t> roots, std::vector<TreeVote<T>> votes,
        int64_t targets, TreeAggregate aggregate);
  ~Trees();

  int64_t features() const noexcept { return features_; }  // that a row must have at least
  int64_t scratch() const noexcept;                        // items that `run` takes
  // How rows are best shared out: in multiples of what is evaluated at once, by the time that one takes (about).
  int64_t rows_at_once() const noexcept;
  int64_t row_nanoseconds() const noexcept;

  // Scores [rows, targets] of src [rows, features]. A target without a vote scores 0.
  void run(const T* src, int64_t rows, int64_t features, T* dst, T* scratch) const;

 private:
  // A leaf steps to itself.
  struct Node {
    T threshold;
    int32_t true_step, false_step;
    uint32_t feature : 24;
    uint32_t compare : 7;
    uint32_t missing_true : 1;
  };
  struct Range {
    int32_t begin, end;
  };

  void lay_out(std::span<const TreeNode> nodes, std::span<const int64_t> roots);
  template <class Compare>
  void run_with(const T* src, int64_t rows, int64_t features, T* dst, Compare compare) const;
  void vote(int32_t leaf, T* scores) const;

  std::unique_ptr<const RankedTrees<T>> ranked_;
  std::unique_ptr<const FlatTrees<T>> flat_;  // also for few rows, where ranked_ is slow with these
  std::vector<Node> nodes_;                   // empty where one of the two is not
  std::vector<Range> ranges_;                 // the votes of each node
  std::vector<int32_t> roots_;
  std::vector<TreeVote<T>> votes_;
  int64_t targets_;
  int64_t features_ = 1;
  TreeAggregate aggregate_;
  bool uniform_ = true;  // all inner nodes compare alike
  TreeCompare compare_ = TreeCompare::LessEqual;
};

}  // namespace fastort::kernels
