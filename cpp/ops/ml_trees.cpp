// Tree ensembles in the three forms of ai.onnx.ml.
#include "kernels/trees.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "ops/core/move.h"
#include "ops/ml_common.h"

namespace fastort {
namespace {

using kernels::PostTransform;
using kernels::TreeAggregate;
using kernels::TreeCompare;
using kernels::TreeNode;
using kernels::Trees;
using kernels::TreeVote;

// Trees and all that is done with their scores, whatever form the model gave them in.
struct Ensemble {
  std::vector<TreeNode> nodes;
  std::vector<int64_t> roots;
  std::vector<TreeVote<double>> votes;
  std::vector<double> base;  // for each target, or empty
  int64_t targets = 1;
  TreeAggregate aggregate = TreeAggregate::Sum;
  PostTransform post = PostTransform::None;
  bool wide = false;  // the model gives numbers as double
};

// The list `name`, where it lies; empty where it is not given.
template <class T>
const std::vector<T>& list(const OpContext& context, const std::string& name) {
  static const std::vector<T> kNone;
  const Attribute* found = context.attributes().find(name);
  if (!found) return kNone;
  const auto* items = std::get_if<std::vector<T>>(found);
  if (!items) context.fail("the attribute " + name + " is a list of another type");
  return *items;
}

void check_length(const OpContext& context, const std::string& name, size_t length, size_t expected) {
  if (length != expected)
    context.fail(name + " has " + std::to_string(length) + " items instead of " + std::to_string(expected));
}

const std::vector<int64_t>& ints_of(const OpContext& context, const std::string& name, size_t length) {
  const std::vector<int64_t>& items = list<int64_t>(context, name);
  check_length(context, name, items.size(), length);
  return items;
}

// Numbers from the attribute `name`, or from `name`_as_tensor.
std::vector<double> numbers(const OpContext& context, const std::string& name, bool& wide) {
  const std::vector<float>& floats = list<float>(context, name);
  const Tensor* tensor = context.attributes().get_tensor(name + "_as_tensor");
  if (!tensor) return {floats.begin(), floats.end()};
  if (!floats.empty()) context.fail("both " + name + " and " + name + "_as_tensor are given");
  if (tensor->type() != DataType::Float && tensor->type() != DataType::Double)
    context.fail(name + "_as_tensor must be float or double, got " + describe(*tensor));
  wide |= tensor->type() == DataType::Double;
  std::vector<double> items(static_cast<size_t>(tensor->count()));
  read_numbers(tensor->type(), tensor->raw(), 0, tensor->count(), items.data());
  return items;
}

// A flag for each node; none are false ones.
std::vector<int64_t> missing_tracks(const OpContext& context, size_t nodes) {
  std::vector<int64_t> tracks = context.attributes().get_ints("nodes_missing_value_tracks_true");
  if (tracks.empty()) tracks.resize(nodes, 0);
  check_length(context, "nodes_missing_value_tracks_true", tracks.size(), nodes);
  return tracks;
}

// Finds nodes by the number of their tree and their own number in it. Mostly a tree's nodes are numbered one after the
// other, so that runs of such are kept.
class NodeIndex {
 public:
  NodeIndex(const OpContext& context, std::span<const int64_t> trees, std::span<const int64_t> ids)
      : context_(context) {
    std::unordered_set<int64_t> seen;
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool follows = i > 0 && trees[i] == trees[i - 1] && ids[i - 1] != INT64_MAX && ids[i] == ids[i - 1] + 1;
      if (!follows) {
        runs_.push_back({trees[i], ids[i], i, 0});
        if (seen.insert(trees[i]).second) roots_.push_back(static_cast<int64_t>(i));
      }
      ++runs_.back().count;
    }
    std::sort(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) {
      return a.tree != b.tree ? a.tree < b.tree : a.id != b.id ? a.id < b.id : a.begin < b.begin;
    });
    for (size_t r = 1; r < runs_.size(); ++r)
      if (runs_[r - 1].has(runs_[r].tree, runs_[r].id))
        context.fail("node " + std::to_string(runs_[r].id) + " of tree " + std::to_string(runs_[r].tree) +
                     " is given twice");
  }

  // The first node of each tree.
  const std::vector<int64_t>& roots() const { return roots_; }

  int64_t find(int64_t tree, int64_t id) {
    if (last_ >= runs_.size() || !runs_[last_].has(tree, id)) {
      const auto behind =
          std::upper_bound(runs_.begin(), runs_.end(), std::pair(tree, id),
                           [](const auto& wanted, const Run& run) { return wanted < std::pair(run.tree, run.id); });
      if (behind == runs_.begin() || !std::prev(behind)->has(tree, id))
        context_.fail("there is no node " + std::to_string(id) + " in tree " + std::to_string(tree));
      last_ = static_cast<size_t>(std::prev(behind) - runs_.begin());
    }
    return static_cast<int64_t>(runs_[last_].begin) + (id - runs_[last_].id);
  }

 private:
  struct Run {
    int64_t tree, id;
    size_t begin, count;
    bool has(int64_t a_tree, int64_t an_id) const {
      return a_tree == tree && an_id >= id && static_cast<uint64_t>(an_id) - static_cast<uint64_t>(id) < count;
    }
  };

  const OpContext& context_;
  std::vector<Run> runs_;  // by tree and number
  std::vector<int64_t> roots_;
  size_t last_ = 0;  // run that was asked for
};

// Whether a regressor or classifier splits at this node; `compare` says how.
bool parse_mode(const OpContext& context, const std::string& mode, TreeCompare& compare) {
  constexpr std::pair<std::string_view, TreeCompare> kModes[] = {
      {"BRANCH_LEQ", TreeCompare::LessEqual},    {"BRANCH_LT", TreeCompare::Less},
      {"BRANCH_GTE", TreeCompare::GreaterEqual}, {"BRANCH_GT", TreeCompare::Greater},
      {"BRANCH_EQ", TreeCompare::Equal},         {"BRANCH_NEQ", TreeCompare::NotEqual}};
  if (mode == "LEAF") return false;
  const auto found =
      std::find_if(std::begin(kModes), std::end(kModes), [&](const auto& each) { return each.first == mode; });
  if (found == std::end(kModes)) context.fail("unknown mode \"" + mode + "\" of a node");
  compare = found->second;
  return true;
}

TreeAggregate parse_aggregate(const OpContext& context) {
  const std::string name = context.attributes().get_string("aggregate_function", "SUM");
  if (name == "AVERAGE") return TreeAggregate::Average;
  if (name == "SUM") return TreeAggregate::Sum;
  if (name == "MIN") return TreeAggregate::Min;
  if (name == "MAX") return TreeAggregate::Max;
  context.fail("unknown aggregate_function \"" + name + "\"");
}

// Nodes named by the number of their tree and their own number in it, as TreeEnsembleRegressor and
// TreeEnsembleClassifier have them. `votes` is "target" or "class".
Ensemble parse_numbered(const OpContext& context, const std::string& votes, int64_t targets) {
  Ensemble ensemble;
  ensemble.targets = targets;
  const std::vector<std::string>& modes = list<std::string>(context, "nodes_modes");
  const size_t count = modes.size();
  const auto &trees = ints_of(context, "nodes_treeids", count), &ids = ints_of(context, "nodes_nodeids", count);
  const auto& features = ints_of(context, "nodes_featureids", count);
  const auto& on_true = ints_of(context, "nodes_truenodeids", count);
  const auto& on_false = ints_of(context, "nodes_falsenodeids", count);
  const std::vector<double> values = numbers(context, "nodes_values", ensemble.wide);
  check_length(context, "nodes_values", values.size(), count);
  const std::vector<int64_t> missing = missing_tracks(context, count);

  NodeIndex index(context, trees, ids);
  ensemble.roots = index.roots();
  ensemble.nodes.resize(count);
  for (size_t i = 0; i < count; ++i) {
    TreeNode& node = ensemble.nodes[i];
    node.leaf = !parse_mode(context, modes[i], node.compare);
    if (node.leaf) continue;
    node.missing_true = missing[i] != 0;
    node.feature = features[i];
    node.threshold = values[i];
    node.on_true = index.find(trees[i], on_true[i]);
    node.on_false = index.find(trees[i], on_false[i]);
  }

  const std::vector<double> weights = numbers(context, votes + "_weights", ensemble.wide);
  const auto& vote_targets = ints_of(context, votes + "_ids", weights.size());
  const auto& vote_trees = ints_of(context, votes + "_treeids", weights.size());
  const auto& vote_nodes = ints_of(context, votes + "_nodeids", weights.size());
  std::vector<int64_t> owners(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    owners[i] = index.find(vote_trees[i], vote_nodes[i]);
    ++ensemble.nodes[static_cast<size_t>(owners[i])].votes_end;
  }
  int64_t end = 0;
  for (TreeNode& node : ensemble.nodes) {
    node.votes_begin = end;
    end += node.votes_end;
    node.votes_end = node.votes_begin;  // grows as the votes come in
  }
  ensemble.votes.resize(weights.size());
  for (size_t i = 0; i < weights.size(); ++i)
    ensemble.votes[static_cast<size_t>(ensemble.nodes[static_cast<size_t>(owners[i])].votes_end++)] = {vote_targets[i],
                                                                                                       weights[i]};
  ensemble.base = numbers(context, "base_values", ensemble.wide);
  ensemble.post = post_transform_of(context);
  return ensemble;
}

// The numbers of a tensor attribute of TreeEnsemble.
std::vector<double> tensor_numbers(const OpContext& context, const char* name, bool required, bool& wide) {
  const Tensor* tensor = context.attributes().get_tensor(name);
  if (!tensor && required) context.fail(std::string("the attribute ") + name + " is required");
  if (!tensor) return {};
  wide |= tensor->type() == DataType::Double;
  std::vector<double> items(static_cast<size_t>(tensor->count()));
  read_numbers(tensor->type(), tensor->raw(), 0, tensor->count(), items.data());
  return items;
}

// Node i asks whether the feature is one of `members`: a chain of comparisons that share where they lead when one
// holds.
void expand_membership(Ensemble& ensemble, size_t i, std::span<const double> members) {
  ensemble.nodes[i].compare = TreeCompare::Equal;
  ensemble.nodes[i].threshold = members.empty() ? std::nan("") : members[0];
  for (size_t m = 1; m < members.size(); ++m) {
    TreeNode next = ensemble.nodes[i];
    next.threshold = members[m];
    const int64_t place = static_cast<int64_t>(ensemble.nodes.size());
    ensemble.nodes[i].on_false = place;
    ensemble.nodes.push_back(next);
    i = static_cast<size_t>(place);
  }
}

// Inner nodes and leaves in lists of their own, as TreeEnsemble has them.
Ensemble parse_split(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  Ensemble ensemble;
  ensemble.targets = context.out(0).shape[1];
  const Tensor* modes = attributes.get_tensor("nodes_modes");
  if (!modes || modes->type() != DataType::UInt8) context.fail("nodes_modes must be a tensor of uint8");
  const auto count = static_cast<size_t>(modes->count());
  auto ints = [&](const char* name, size_t length) -> auto& { return ints_of(context, name, length); };
  const auto& features = ints("nodes_featureids", count);
  const auto &on_true = ints("nodes_truenodeids", count), &on_false = ints("nodes_falsenodeids", count);
  const auto &true_leafs = ints("nodes_trueleafs", count), &false_leafs = ints("nodes_falseleafs", count);
  const std::vector<double> splits = tensor_numbers(context, "nodes_splits", true, ensemble.wide);
  check_length(context, "nodes_splits", splits.size(), count);
  const std::vector<double> weights = tensor_numbers(context, "leaf_weights", true, ensemble.wide);
  const auto& leaf_targets = ints("leaf_targetids", weights.size());
  const std::vector<double> members = tensor_numbers(context, "membership_values", false, ensemble.wide);
  const std::vector<int64_t> missing = missing_tracks(context, count);

  auto child = [&](int64_t id, bool leaf) {
    const auto size = static_cast<int64_t>(leaf ? weights.size() : count);
    if (id < 0 || id >= size)
      context.fail("a node leads to " + std::string(leaf ? "leaf " : "node ") + std::to_string(id) + " of " +
                   std::to_string(size));
    return leaf ? id + static_cast<int64_t>(count) : id;
  };
  ensemble.nodes.resize(count + weights.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto vote = static_cast<int64_t>(i);
    ensemble.votes.push_back({leaf_targets[i], weights[i]});
    TreeNode& leaf = ensemble.nodes[count + i];
    leaf.leaf = true;
    leaf.votes_begin = vote;
    leaf.votes_end = vote + 1;
  }
  size_t member = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t mode = modes->data<uint8_t>()[i];
    if (mode > 6) context.fail("unknown mode " + std::to_string(mode) + " of a node");
    TreeNode& node = ensemble.nodes[i];
    node.missing_true = missing[i] != 0;
    node.feature = features[i];
    node.threshold = splits[i];
    node.on_true = child(on_true[i], true_leafs[i] != 0);
    node.on_false = child(on_false[i], false_leafs[i] != 0);
    if (mode < 6) {
      node.compare = static_cast<TreeCompare>(mode);
      continue;
    }
    const size_t begin = member;
    while (member < members.size() && !std::isnan(members[member])) ++member;
    if (member == members.size())
      context.fail("membership_values has no set, ended by NaN, for node " + std::to_string(i));
    expand_membership(ensemble, i, std::span(members).subspan(begin, member - begin));
    ++member;
  }
  ensemble.roots = attributes.get_ints("tree_roots");
  for (int64_t root : ensemble.roots) child(root, false);
  const int64_t aggregate = attributes.get_int("aggregate_function", 1), post = attributes.get_int("post_transform", 0);
  if (aggregate < 0 || aggregate > 3) context.fail("unknown aggregate_function " + std::to_string(aggregate));
  if (post < 0 || post > 4) context.fail("unknown post_transform " + std::to_string(post));
  ensemble.aggregate = static_cast<TreeAggregate>(aggregate);
  ensemble.post = static_cast<PostTransform>(post);
  return ensemble;
}

// A kernel that computes the scores of all rows into its workspace and has `finish(args, row, scores)` make the
// outputs of each row.
template <class T, class Finish>
std::unique_ptr<Kernel> tree_kernel(const OpContext& context, const Ensemble& ensemble, Finish finish) {
  const Rows rows = rows_of(context);
  std::vector<TreeVote<T>> votes;
  for (const TreeVote<double>& vote : ensemble.votes) votes.push_back({vote.target, static_cast<T>(vote.weight)});
  std::shared_ptr<const Trees<T>> trees;
  try {
    trees = std::make_shared<const Trees<T>>(ensemble.nodes, ensemble.roots, std::move(votes), ensemble.targets,
                                             ensemble.aggregate);
  } catch (const Error& error) {
    context.fail(error.what());  // which names the node
  }
  if (rows.count > 0 && rows.features < trees->features())
    context.fail("the trees ask for " + std::to_string(trees->features()) + " features, the input has " +
                 std::to_string(rows.features));
  const DataType type = context.type(0);
  const bool convert = type != kDataTypeOf<T>;
  const int64_t targets = ensemble.targets;
  const int64_t converted = convert ? rows.count * rows.features : 0;
  const int64_t work = trees->row_nanoseconds() + targets;
  const int64_t block = trees->rows_at_once();
  auto whole_blocks = [=](int64_t wanted) { return (wanted + block - 1) / block * block; };
  const int64_t grain = std::max(block, whole_blocks(20000 / work));
  const int64_t most = context.options.threads == 1 ? 1 : 4 * context.options.threads;
  int64_t step = rows.count;
  if (rows.count > grain) step = std::max(grain, whole_blocks((rows.count + most - 1) / most));
  const int64_t pieces = rows.count == 0 ? 0 : (rows.count + step - 1) / step;
  const int64_t scratch = trees->scratch();
  return make_kernel(
      [=, finish = std::move(finish)](const KernelArgs& args) {
        T* numbers = reinterpret_cast<T*>(args.workspace);
        T* scores = numbers + converted;
        T* scratches = scores + rows.count * targets;
        args.parallel.chunks(static_cast<int>(pieces), [&](int piece) {
          const int64_t begin = piece * step, end = std::min(rows.count, begin + step);
          const T* src = args.in<T>(0) + begin * rows.features;
          if (convert) {
            T* dst = numbers + begin * rows.features;
            read_numbers(type, args.in<std::byte>(0), begin * rows.features, (end - begin) * rows.features, dst);
            src = dst;
          }
          trees->run(src, end - begin, rows.features, scores + begin * targets, scratches + piece * scratch);
          for (int64_t row = begin; row < end; ++row) finish(args, row, scores + row * targets);
        });
      },
      static_cast<size_t>(converted + rows.count * targets + pieces * scratch) * sizeof(T));
}

// Calls make(type tag) with the type to compute in: double where float would not hold the numbers exactly.
template <class F>
std::unique_ptr<Kernel> with_compute_type(const OpContext& context, const Ensemble& ensemble, F&& make) {
  const DataType type = context.type(0);
  if (ensemble.wide || (type != DataType::Float && type != DataType::Float16))
    return make(std::type_identity<double>{});
  return make(std::type_identity<float>{});
}

// ---- TreeEnsembleRegressor, TreeEnsemble ---------------------------------------------------------------------------

void infer_trees(InferContext& context, DataType type) {
  const int64_t targets = context.attributes().get_int("n_targets", 1);
  if (targets < 1 || targets > INT32_MAX) context.fail("n_targets is " + std::to_string(targets));
  context.out(0, type, {row_count(context), targets});
}

void infer_regressor(InferContext& context) { infer_trees(context, DataType::Float); }
void infer_ensemble(InferContext& context) { infer_trees(context, context.type(0)); }

template <class T>
void store(DataType type, std::byte* dst, int64_t i, T value) {
  if (type == DataType::Double)
    reinterpret_cast<double*>(dst)[i] = static_cast<double>(value);
  else if (type == DataType::Float16)
    reinterpret_cast<Float16*>(dst)[i] = to_float16(static_cast<float>(value));
  else
    reinterpret_cast<float*>(dst)[i] = static_cast<float>(value);
}

std::unique_ptr<Kernel> regression_kernel(const OpContext& context, const Ensemble& ensemble) {
  const int64_t targets = ensemble.targets;
  if (!ensemble.base.empty() && ensemble.base.size() != static_cast<size_t>(targets))
    context.fail(std::to_string(ensemble.base.size()) + " base_values for " + std::to_string(targets) + " targets");
  std::vector<double> base = ensemble.base;
  base.resize(static_cast<size_t>(targets), 0.0);
  const DataType type = context.out(0).type;
  return with_compute_type(context, ensemble, [&]<class T>(std::type_identity<T>) {
    return tree_kernel<T>(context, ensemble, [=, post = ensemble.post](const KernelArgs& args, int64_t row, T* scores) {
      for (size_t t = 0; t < base.size(); ++t) scores[t] += static_cast<T>(base[t]);
      kernels::post_transform(post, std::span(scores, base.size()));
      for (int64_t t = 0; t < targets; ++t) store(type, args.out<std::byte>(0), row * targets + t, scores[t]);
    });
  });
}

std::unique_ptr<Kernel> prepare_regressor(const OpContext& context) {
  Ensemble ensemble = parse_numbered(context, "target", context.out(0).shape[1]);
  ensemble.aggregate = parse_aggregate(context);
  return regression_kernel(context, ensemble);
}

std::unique_ptr<Kernel> prepare_ensemble(const OpContext& context) {
  return regression_kernel(context, parse_split(context));
}

constexpr Candidate kRegressor[] = {{"preorder", nullptr, prepare_regressor}};
constexpr Candidate kEnsemble[] = {{"preorder", nullptr, prepare_ensemble}};

// ---- TreeEnsembleClassifier ----------------------------------------------------------------------------------------

void infer_classifier(InferContext& context) {
  const ClassLabels labels = ClassLabels::parse(context, "classlabels_int64s");
  const Dim rows = row_count(context);
  context.out(0, labels.type(), {rows});
  context.out(1, DataType::Float, {rows, labels.size()});
}

// How scores become a class. The standard does not say what one score for two classes means; this is what ONNX Runtime
// makes of it.
struct Decision {
  PostTransform post;
  bool one_score;     // two classes, and all votes go to the first
  bool by_threshold;  // two classes, and all votes go to one of them
  bool positive;      // no vote is negative: scores are probabilities

  template <class T>
  int64_t decide(std::span<T> scores) const {
    if (scores.size() == 1) return scores[0] > 0 ? 1 : 0;
    int64_t chosen = std::max_element(scores.begin(), scores.end()) - scores.begin();
    if (by_threshold) chosen = scores[one_score ? 0 : 1] > (positive ? T(0.5) : T(0)) ? 1 : 0;
    if (!one_score) {
      kernels::post_transform(post, scores);
      return chosen;
    }
    const T score = scores[0];
    const bool squash = post == PostTransform::Logistic;
    scores[1] = squash ? kernels::logistic(score) : score;
    scores[0] = squash ? kernels::logistic(-score) : positive ? 1 - score : -score;
    if (post == PostTransform::Probit) kernels::post_transform(post, scores);
    return chosen;
  }
};

std::unique_ptr<Kernel> prepare_classifier(const OpContext& context) {
  const ClassLabels labels = ClassLabels::parse(context, "classlabels_int64s");
  const int64_t classes = labels.size();
  const Ensemble ensemble = parse_numbered(context, "class", classes);
  bool first_only = true, second_only = true, one_class = true, positive = true;
  for (const TreeVote<double>& vote : ensemble.votes) {
    first_only &= vote.target == 0;
    second_only &= vote.target == 1;
    one_class &= vote.target == ensemble.votes[0].target;
    positive &= vote.weight >= 0;
  }
  std::vector<double> base = ensemble.base;
  const bool one_score = classes == 2 && first_only && base.size() < 2;
  // One number for two classes is the first one's, and of no effect where nothing votes for that one.
  if (base.size() == 1 && classes == 2 && second_only) base.clear();
  if (!base.empty() && base.size() != static_cast<size_t>(classes) && (base.size() > 1 || classes > 2))
    context.fail(std::to_string(base.size()) + " base_values for " + std::to_string(classes) + " classes");
  base.resize(static_cast<size_t>(classes), 0);
  const Decision decision{ensemble.post, one_score, classes == 2 && one_class && ensemble.base.size() < 2, positive};
  const bool has_label = context.has_output(0), has_scores = context.has_output(1);
  return with_compute_type(context, ensemble, [&]<class T>(std::type_identity<T>) {
    return tree_kernel<T>(context, ensemble, [=](const KernelArgs& args, int64_t row, T* scores) {
      for (size_t c = 0; c < base.size(); ++c) scores[c] += static_cast<T>(base[c]);
      const int64_t chosen = decision.decide(std::span(scores, base.size()));
      if (has_label && classes == 1 && labels.strings.empty())
        args.out<int64_t>(0)[row] = chosen;
      else if (has_label)
        labels.put(args, row, chosen);
      if (!has_scores) return;
      for (int64_t c = 0; c < classes; ++c) args.out<float>(1)[row * classes + c] = static_cast<float>(scores[c]);
    });
  });
}

constexpr Candidate kClassifier[] = {{"preorder", nullptr, prepare_classifier}};

constexpr TypeMask kEnsembleTypes{DataType::Float, DataType::Double, DataType::Float16};

constexpr OpDef kOps[] = {
    {"ai.onnx.ml", "TreeEnsembleRegressor", infer_regressor, kRegressor, kMlTypes},
    {"ai.onnx.ml", "TreeEnsembleClassifier", infer_classifier, kClassifier, kMlTypes},
    {"ai.onnx.ml", "TreeEnsemble", infer_ensemble, kEnsemble, kEnsembleTypes},
};

}  // namespace

std::span<const OpDef> ml_trees_ops() { return kOps; }

}  // namespace fastort
