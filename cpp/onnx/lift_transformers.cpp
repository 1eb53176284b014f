// Operators of com.microsoft for transformers and diffusion models that are compositions of others.
#include <limits>
#include <string>
#include <vector>

#include "onnx/lift.h"

namespace fastort {
namespace {

constexpr int kEveryVersion = std::numeric_limits<int>::max();

// The projection to Q, K and V is a product like any other; what is left takes its result.
void attention(Lift& lift) {
  enum { kInput, kWeights, kBias, kMask, kPast, kScoresBias, kPastLength };
  ValueId projected = lift.emit("MatMul", {lift.input(kInput), lift.input(kWeights)});
  if (lift.has_input(kBias)) projected = lift.emit("Add", {projected, lift.input(kBias)});
  lift.node.domain = "fastort";
  lift.node.op_type = "ProjectedAttention";
  lift.node.inputs = {projected, lift.input(kMask), lift.input(kPast), lift.input(kScoresBias),
                      lift.input(kPastLength)};
  while (lift.node.inputs.back() == kNoValue) lift.node.inputs.pop_back();
  lift.newest = true;
}

// Word, position and segment embeddings, their sum and its LayerNormalization.
void embed_layer_norm(Lift& lift) {
  enum { kIds, kSegments, kWords, kPositions, kSegmentRows, kGamma, kBeta, kMask, kPositionIds };
  for (int i : {kIds, kWords, kPositions, kGamma, kBeta})
    if (!lift.has_input(i)) lift.unsupported("input " + std::to_string(i) + " is required");
  if (lift.has_input(kSegments) != lift.has_input(kSegmentRows))
    lift.unsupported("segment_ids and segment_embedding go together");
  const std::vector<ValueId> outputs = lift.node.outputs;
  const auto output = [&](size_t i) { return i < outputs.size() ? outputs[i] : kNoValue; };
  ValueId position;
  if (lift.has_input(kPositionIds)) {
    position = lift.emit("Gather", {lift.input(kPositions), lift.input(kPositionIds)}, {{"axis", int64_t{0}}});
  } else {
    const ValueId length = lift.emit("Shape", {lift.input(kIds)}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
    position = lift.emit("Slice", {lift.input(kPositions), lift.ints({0}), length, lift.ints({0})});
  }
  const ValueId words = lift.emit("Gather", {lift.input(kWords), lift.input(kIds)}, {{"axis", int64_t{0}}});
  ValueId sum = lift.emit("Add", {words, position});
  if (lift.has_input(kSegments)) {
    const ValueId segments =
        lift.emit("Gather", {lift.input(kSegmentRows), lift.input(kSegments)}, {{"axis", int64_t{0}}});
    sum = lift.emit("Add", {sum, segments});
  }
  if (output(1) != kNoValue) {
    // The number of ones in each row of the mask; none without a mask.
    const ValueId ids = lift.input(kIds), one = lift.constant(Tensor::scalar<int32_t>(1));
    const ValueId marked =
        lift.has_input(kMask) ? lift.emit("Equal", {lift.input(kMask), one}) : lift.emit("Less", {ids, ids});
    const ValueId ones = lift.emit("Cast", {marked}, {{"to", static_cast<int64_t>(DataType::Int32)}});
    Node index = lift.make("ReduceSum", {ones, lift.ints({1})}, {output(1)});
    index.attributes.set("keepdims", int64_t{0});
    lift.after.push_back(std::move(index));
  }
  if (output(2) != kNoValue) lift.after.push_back(lift.make("Identity", {sum}, {output(2)}));
  const float epsilon = lift.attributes().get_float("epsilon", 1e-12f);
  const ValueId gamma = lift.input(kGamma), beta = lift.input(kBeta);
  lift.node.domain = "";
  lift.node.outputs.resize(1);
  lift.become("LayerNormalization", {sum, gamma, beta}, {{"axis", int64_t{-1}}, {"epsilon", epsilon}});
}

// X + bias + skip
void bias_add(Lift& lift) {
  const ValueId skip = lift.input(2), biased = lift.emit("Add", {lift.input(0), lift.input(1)});
  lift.node.domain = "";
  lift.become("Add", {biased, skip});
}

// left * Gelu(right) of the halves of X + bias
void bias_split_gelu(Lift& lift) {
  const ValueId biased = lift.emit("Add", {lift.input(0), lift.input(1)});
  const ValueId left = lift.fresh(), right = lift.fresh();
  Node split = lift.make("Split", {biased}, {left, right});
  split.attributes.set("axis", int64_t{-1});
  split.attributes.set("num_outputs", int64_t{2});
  lift.append(std::move(split));
  const ValueId gate = lift.emit("Gelu", {right});
  lift.node.domain = "";
  lift.become("Mul", {left, gate});
}

// GroupNormalization of `x`, in either order of the axes, and its activation.
void normalize_groups(Lift& lift, ValueId x) {
  const Attributes attributes = lift.attributes();
  const int64_t activation = attributes.get_int("activation"), groups = attributes.get_int("groups");
  if (activation != 0 && activation != 1) lift.unsupported("'activation' must be 0 (none) or 1 (SiLU)");
  const bool channels_last = attributes.get_int("channels_last", 1) != 0;
  const ValueId gamma = lift.emit("CastLike", {lift.input(1), x}), beta = lift.emit("CastLike", {lift.input(2), x});
  const std::vector<int64_t> to_first = {0, 3, 1, 2}, to_last = {0, 2, 3, 1};
  if (channels_last) x = lift.emit("Transpose", {x}, {{"perm", to_first}});
  const std::initializer_list<std::pair<std::string, Attribute>> settings = {
      {"epsilon", attributes.get_float("epsilon", 1e-5f)}, {"num_groups", groups}};
  ValueId y = lift.emit("GroupNormalization", {x, gamma, beta}, settings);
  if (activation == 1) y = lift.emit("Swish", {y});
  lift.node.domain = "";
  lift.node.outputs.resize(1);
  if (channels_last)
    lift.become("Transpose", {y}, {{"perm", to_last}});
  else
    lift.become("Identity", {y});
}

void group_norm(Lift& lift) { normalize_groups(lift, lift.input(0)); }

// The same of x + skip + bias, where skip may be [N, C].
void skip_group_norm(Lift& lift) {
  enum { kX, kGamma, kBeta, kSkip, kBias };
  const bool channels_last = lift.attributes().get_int("channels_last", 1) != 0;
  const std::vector<ValueId> outputs = lift.node.outputs;
  ValueId skip = lift.input(kSkip);
  const int rank = lift.rank(skip);
  if (rank != 2 && rank != 4) lift.unsupported("skip must be known to have two or four dimensions");
  if (rank == 2) skip = lift.emit("Unsqueeze", {skip, channels_last ? lift.ints({1, 2}) : lift.ints({2, 3})});
  ValueId sum = lift.emit("Add", {lift.input(kX), skip});
  if (lift.has_input(kBias)) {
    ValueId bias = lift.input(kBias);
    if (!channels_last) bias = lift.emit("Unsqueeze", {bias, lift.ints({1, 2})});
    sum = lift.emit("Add", {sum, bias});
  }
  if (outputs.size() > 1 && outputs[1] != kNoValue) lift.after.push_back(lift.make("Identity", {sum}, {outputs[1]}));
  normalize_groups(lift, sum);
}

constexpr LiftRow kRows[] = {
    {"com.microsoft", "Attention", kEveryVersion, attention},
    {"com.microsoft", "BiasAdd", kEveryVersion, bias_add},
    {"com.microsoft", "BiasSplitGelu", kEveryVersion, bias_split_gelu},
    {"com.microsoft", "EmbedLayerNormalization", kEveryVersion, embed_layer_norm},
    {"com.microsoft", "GroupNorm", kEveryVersion, group_norm},
    {"com.microsoft", "SkipGroupNorm", kEveryVersion, skip_group_norm},
};

}  // namespace

std::span<const LiftRow> transformer_lifts() { return kRows; }

}  // namespace fastort
