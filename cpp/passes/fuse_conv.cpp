#include <limits>
#include <optional>

#include "passes/activation.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

bool is_conv(const Node& node) {
  return (node.op_type == "Conv" && node.domain.empty()) ||
         (node.op_type == "FusedConv" && node.domain == "com.microsoft");
}

bool has_activation(const Node& node) { return node.attributes.has("activation"); }

// `conv` as com.microsoft FusedConv with room for the residual.
Node fused_conv(const Node& conv) {
  Node fused;
  fused.op_type = "FusedConv";
  fused.domain = "com.microsoft";
  fused.name = conv.name;
  fused.inputs = conv.inputs;
  fused.attributes = conv.attributes;
  return fused;
}

// Makes node `index` (which absorbed others) stand for the convolution in messages.
void take_origin(Sweep& sweep, int index, const Origin& origin) {
  Origin& own = sweep.node(index).origin;
  own.node_name = origin.node_name;
  own.op_type = origin.op_type;
  own.fused.insert(own.fused.begin(), origin.fused.begin(), origin.fused.end());
}

// Replaces node `index`, the only reader of the convolution `conv_index`, by `fused`.
void absorb(Sweep& sweep, int index, int conv_index, Node fused) {
  const std::string absorbed = fused_name(sweep.node(index));
  const Origin origin = sweep.node(conv_index).origin;
  sweep.become(index, std::move(fused), {absorbed});
  take_origin(sweep, index, origin);
  sweep.remove(conv_index);
}

// The index of the convolution that makes `id` for one reader only; -1 otherwise.
int sole_conv(Sweep& sweep, ValueId id) {
  const int index = id == kNoValue ? -1 : sweep.producer_index(id);
  return index >= 0 && sweep.single(id) && is_conv(sweep.node(index)) ? index : -1;
}

// A constant [1,C,1,1] or [C,1,1] of per-channel values, as [C]; nothing for any other form.
std::optional<Tensor> per_channel(const Graph& graph, ValueId id, int rank, int64_t channels) {
  const Tensor* tensor = graph.constant(id);
  if (!tensor || tensor->type() != DataType::Float || tensor->count() != channels) return std::nullopt;
  const Shape& shape = tensor->shape();
  const int axis = shape.rank() - (rank - 1);  // where the channels stand, counted from the right
  if (axis < 0 || axis > 1 || shape[static_cast<size_t>(axis)] != channels) return std::nullopt;
  return tensor->reshaped(Shape{channels});
}

// Conv + per-channel constant: a bias.
bool fuse_bias(Sweep& sweep, int index) {
  Graph& graph = sweep.graph();
  const Node& add = sweep.node(index);
  for (size_t k = 0; k < 2; ++k) {
    const int conv_index = sole_conv(sweep, add.inputs[k]);
    if (conv_index < 0) continue;
    const Node& conv = sweep.node(conv_index);
    const Shape* weight = sweep.shape(conv.inputs[1]);
    if (has_activation(conv) || conv.has_input(3) || !weight || !is_known((*weight)[0])) continue;
    auto bias = per_channel(graph, add.inputs[1 - k], weight->rank(), (*weight)[0]);
    if (!bias) continue;
    if (conv.has_input(2)) {
      const Tensor* own = graph.constant(conv.inputs[2]);
      if (!own || own->type() != DataType::Float || own->count() != bias->count()) continue;
      Tensor sum(DataType::Float, bias->shape());
      for (int64_t c = 0; c < sum.count(); ++c) sum.data<float>()[c] = own->data<float>()[c] + bias->data<float>()[c];
      bias = std::move(sum);
    }
    Node fused = conv;
    fused.origin = {};
    fused.inputs.resize(3, kNoValue);
    fused.inputs[2] = graph.add_constant(graph.value(add.inputs[1 - k]).name + "_bias", *bias);
    absorb(sweep, index, conv_index, std::move(fused));
    return true;
  }
  return false;
}

// Conv + tensor of the same shape: a residual.
bool fuse_residual(Sweep& sweep, int index) {
  const Node& add = sweep.node(index);
  // Where both operands are convolutions, the later one takes the sum: the other's result is then there.
  int chosen = -1, chosen_index = -1;
  for (int k = 0; k < 2; ++k) {
    const int conv_index = sole_conv(sweep, add.inputs[static_cast<size_t>(k)]);
    if (conv_index < 0) continue;
    const Node& conv = sweep.node(conv_index);
    if (has_activation(conv) || conv.has_input(3)) continue;
    if (!sweep.same_shape(add.inputs[0], add.inputs[1])) continue;
    if (sweep.type(add.inputs[0]) != DataType::Float) continue;
    if (conv_index > chosen_index) {
      chosen = k;
      chosen_index = conv_index;
    }
  }
  if (chosen < 0 || add.inputs[0] == add.inputs[1]) return false;
  Node fused = fused_conv(sweep.node(chosen_index));
  fused.inputs.resize(4, kNoValue);
  fused.inputs[3] = add.inputs[static_cast<size_t>(1 - chosen)];
  absorb(sweep, index, chosen_index, std::move(fused));
  return true;
}

bool fuse_activation(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const auto activation = match_activation(sweep, node);
  if (!activation) return false;
  const int conv_index = sole_conv(sweep, node.inputs[0]);
  if (conv_index < 0 || has_activation(sweep.node(conv_index))) return false;
  if (sweep.type(node.inputs[0]) != DataType::Float) return false;
  Node fused = fused_conv(sweep.node(conv_index));
  fused.attributes.set("activation", activation->name);
  if (!activation->parameters.empty()) fused.attributes.set("activation_params", activation->parameters);
  absorb(sweep, index, conv_index, std::move(fused));
  return true;
}

}  // namespace

// Conv + bias, + residual, + activation become one FusedConv.
int fuse_conv(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (sweep.removed(i)) continue;
    const Node& node = sweep.node(i);
    if (!node.domain.empty()) continue;
    if (node.op_type == "Add") {
      if (!fuse_bias(sweep, i)) fuse_residual(sweep, i);
    } else {
      fuse_activation(sweep, i);
    }
  }
  return sweep.finish();
}

}  // namespace fastort
