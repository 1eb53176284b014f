#include <cmath>
#include <cstring>

#include "passes/passes.h"
#include "passes/rewrite.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

struct PerChannel {
  std::vector<float> scale, shift;
};

const float* floats(const Graph& graph, ValueId id, int64_t count) {
  const Tensor* tensor = graph.constant(id);
  return tensor && tensor->type() == DataType::Float && tensor->count() == count ? tensor->data<float>() : nullptr;
}

// y = scale * x + shift of an inference BatchNormalization with constant statistics.
bool normalization(const Graph& graph, const Node& node, PerChannel& out) {
  if (node.attributes.get_int("training_mode", 0) || node.num_inputs() < 5) return false;
  const Tensor* gamma_tensor = graph.constant(node.inputs[1]);
  if (!gamma_tensor) return false;
  const int64_t channels = gamma_tensor->count();
  const float* gamma = floats(graph, node.inputs[1], channels);
  const float* beta = floats(graph, node.inputs[2], channels);
  const float* mean = floats(graph, node.inputs[3], channels);
  const float* variance = floats(graph, node.inputs[4], channels);
  if (!gamma || !beta || !mean || !variance) return false;
  const double epsilon = node.attributes.get_float("epsilon", 1e-5f);
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = gamma[c] / std::sqrt(variance[c] + epsilon);
    out.scale.push_back(static_cast<float>(scale));
    out.shift.push_back(static_cast<float>(beta[c] - mean[c] * scale));
  }
  return true;
}

}  // namespace

// Conv -> BatchNormalization becomes a Conv with other weights and a bias.
int fold_batch_normalization(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (node.op_type != "BatchNormalization" || !node.domain.empty() || node.outputs.size() != 1) continue;
    const int maker = sweep.producer_index(node.inputs[0]);
    if (maker < 0 || !sweep.single(node.inputs[0])) continue;
    const Node& conv = sweep.node(maker);
    if (conv.op_type != "Conv" || !conv.domain.empty()) continue;
    PerChannel affine;
    if (!normalization(graph, node, affine)) continue;
    const auto channels = static_cast<int64_t>(affine.scale.size());
    const Tensor* weight = graph.constant(conv.inputs[1]);
    if (!weight || weight->type() != DataType::Float || weight->shape()[0] != channels) continue;
    const float* bias = nullptr;
    if (conv.has_input(2) && !(bias = floats(graph, conv.inputs[2], channels))) continue;

    auto fold = [weight = *weight, scale = affine.scale] {
      const ReadScope scope;
      Tensor folded(DataType::Float, weight.shape());
      float* items = folded.data<float>();
      if (weight.count() > 0) std::memcpy(items, weight.source(), weight.bytes());
      weight.give_up();
      const int64_t per_channel = scale.empty() ? 0 : weight.count() / static_cast<int64_t>(scale.size());
      for (const float factor : scale) {
        for (int64_t k = 0; k < per_channel; ++k) *items++ *= factor;
      }
      return folded;
    };
    Tensor shift(DataType::Float, Shape{channels});
    for (int64_t c = 0; c < channels; ++c) {
      const float scale = affine.scale[static_cast<size_t>(c)];
      shift.data<float>()[c] = affine.shift[static_cast<size_t>(c)] + (bias ? bias[c] * scale : 0.0f);
    }
    Node fused = conv;
    const std::string base = graph.value(conv.inputs[1]).name;
    fused.inputs = {conv.inputs[0],
                    graph.add_constant(base + "_folded", deferred(DataType::Float, weight->shape(), std::move(fold))),
                    graph.add_constant(base + "_folded_bias", std::move(shift))};
    const std::string absorbed = fused_name(node);
    fused.origin = {};
    const Origin origin = conv.origin;
    sweep.become(i, std::move(fused), {absorbed});
    sweep.node(i).origin.node_name = origin.node_name;
    sweep.node(i).origin.op_type = origin.op_type;
    sweep.remove(maker);
  }
  return sweep.finish();
}

}  // namespace fastort
