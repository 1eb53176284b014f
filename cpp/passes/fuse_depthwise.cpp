#include <algorithm>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

bool is_conv(const Node& node) {
  return (node.op_type == "Conv" && node.domain.empty()) ||
         (node.op_type == "FusedConv" && node.domain == "com.microsoft");
}

bool all_of(const Attributes& attributes, const char* name, int64_t value) {
  const std::vector<int64_t> items = attributes.get_ints(name);
  return std::all_of(items.begin(), items.end(), [&](int64_t item) { return item == value; });
}

// The constant weights of a float32 convolution over two dimensions, with a constant bias or none.
const Tensor* weights_of(Sweep& sweep, const Node& conv) {
  const Tensor* weights = sweep.graph().constant(conv.inputs[1]);
  if (!weights || weights->type() != DataType::Float || weights->shape().rank() != 4 || weights->count() == 0)
    return nullptr;
  if (conv.has_input(2) && !sweep.graph().constant(conv.inputs[2])) return nullptr;
  return weights;
}

// A 1x1 convolution with stride 1, no pads and one group.
bool is_pointwise(Sweep& sweep, const Node& conv) {
  if (!is_conv(conv)) return false;
  const Tensor* weights = weights_of(sweep, conv);
  return weights && weights->shape()[2] == 1 && weights->shape()[3] == 1 && all_of(conv.attributes, "strides", 1) &&
         all_of(conv.attributes, "pads", 0) && conv.attributes.get_int("group", 1) == 1;
}

// What DepthwiseBlock takes.
bool is_depthwise(Sweep& sweep, const Node& conv) {
  if (!is_conv(conv) || conv.has_input(3)) return false;
  const Tensor* weights = weights_of(sweep, conv);
  if (!weights || weights->shape()[1] != 1 || weights->shape()[0] != conv.attributes.get_int("group", 1)) return false;
  if (weights->shape()[0] < 8) return false;
  const std::string pad = conv.attributes.get_string("auto_pad", "NOTSET");
  if (pad != "NOTSET" && pad != "VALID") return false;
  const std::vector<int64_t> pads = conv.attributes.get_ints("pads"), strides = conv.attributes.get_ints("strides");
  if (std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p < 0; })) return false;
  if (strides.size() == 2 && (strides[1] > 2 || strides[0] > 4)) return false;
  return weights->shape()[2] <= 7 && weights->shape()[3] <= 7 && all_of(conv.attributes, "dilations", 1);
}

// GlobalAveragePool, or a ReduceMean over both spatial dimensions that keeps them.
bool is_spatial_mean(Sweep& sweep, const Node& node) {
  if (!node.domain.empty()) return false;
  if (node.op_type == "GlobalAveragePool") return true;
  if (node.op_type != "ReduceMean" || !node.has_input(1) || node.attributes.get_int("keepdims", 1) != 1) return false;
  auto axes = sweep.ints(node.inputs[1]);
  if (!axes || axes->size() != 2) return false;
  for (int64_t& axis : *axes) axis = axis < 0 ? axis + 4 : axis;
  return std::min((*axes)[0], (*axes)[1]) == 2 && std::max((*axes)[0], (*axes)[1]) == 3;
}

int mean_reader(Sweep& sweep, ValueId id) {
  for (const int reader : sweep.readers(id))
    if (reader >= 0 && !sweep.removed(reader) && is_spatial_mean(sweep, sweep.node(reader))) return reader;
  return -1;
}

// A depthwise convolution with the 1x1 convolution before it, which nobody else reads, and the mean behind it.
bool fuse_block(Sweep& sweep, int index) {
  const Node& conv = sweep.node(index);
  if (!is_depthwise(sweep, conv)) return false;
  const Shape* y = sweep.shape(conv.outputs[0]);
  if (!y || y->rank() != 4) return false;
  int expand_index = sweep.single(conv.inputs[0]) ? sweep.producer_index(conv.inputs[0]) : -1;
  if (expand_index >= 0) {
    const Node& before = sweep.node(expand_index);
    if (!is_pointwise(sweep, before) || before.has_input(3)) expand_index = -1;
  }
  const int mean_index = mean_reader(sweep, conv.outputs[0]);
  if (expand_index < 0 && mean_index < 0) return false;

  Node fused;
  fused.op_type = "DepthwiseBlock";
  fused.domain = "fastort";
  fused.name = conv.name;
  fused.attributes = conv.attributes;
  fused.inputs = {conv.inputs[0], kNoValue, kNoValue, conv.inputs[1], conv.has_input(2) ? conv.inputs[2] : kNoValue};
  std::vector<std::string> absorbed;
  if (expand_index >= 0) {
    const Node& expand = sweep.node(expand_index);
    fused.inputs[0] = expand.inputs[0];
    fused.inputs[1] = expand.inputs[1];
    fused.inputs[2] = expand.has_input(2) ? expand.inputs[2] : kNoValue;
    fused.attributes.set("expand_activation", expand.attributes.get_string("activation", ""));
    if (const std::vector<float> params = expand.attributes.get_floats("activation_params"); !params.empty())
      fused.attributes.set("expand_activation_params", params);
    absorbed.push_back(fused_name(expand));
  }
  if (mean_index >= 0) absorbed.push_back(fused_name(sweep.node(mean_index)));
  sweep.become(index, std::move(fused), absorbed);
  if (expand_index >= 0) sweep.remove(expand_index);
  if (mean_index >= 0) sweep.take_output(index, mean_index);
  return true;
}

// A 1x1 convolution of a map times a gate [N,C,1,1].
bool fuse_gate(Sweep& sweep, int index) {
  const Node& conv = sweep.node(index);
  if (!is_pointwise(sweep, conv) || !sweep.single(conv.inputs[0])) return false;
  const Node* mul = sweep.producer(conv.inputs[0], "Mul");
  if (!mul) return false;
  for (size_t k = 0; k < 2; ++k) {
    const Shape* gate = sweep.shape(mul->inputs[k]);
    const Shape* map = sweep.shape(mul->inputs[1 - k]);
    const Shape* product = sweep.shape(conv.inputs[0]);
    if (!gate || !map || !product || gate->rank() != 4 || *map != *product) continue;
    if ((*gate)[0] != (*map)[0] || (*gate)[1] != (*map)[1] || (*gate)[2] != 1 || (*gate)[3] != 1) continue;
    if (sweep.graph().constant(mul->inputs[k]) || sweep.graph().constant(mul->inputs[1 - k])) continue;
    const int mul_index = sweep.producer_index(conv.inputs[0]);
    Node fused = conv;
    fused.origin = {};
    fused.op_type = "GatedConv";
    fused.domain = "fastort";
    fused.inputs.resize(5, kNoValue);
    fused.inputs[0] = mul->inputs[1 - k];
    fused.inputs[4] = mul->inputs[k];
    const std::string absorbed = fused_name(*mul);
    sweep.become(index, std::move(fused), {absorbed});
    sweep.remove(mul_index);
    return true;
  }
  return false;
}

}  // namespace

// The parts of inverted residual blocks: 1x1 and depthwise convolution in one, and the gate of a
// squeeze-and-excitation block in the convolution that reads it.
int fuse_depthwise(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (sweep.removed(i)) continue;
    if (!fuse_block(sweep, i)) fuse_gate(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
