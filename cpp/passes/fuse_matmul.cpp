#include "passes/activation.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

constexpr std::string_view kEpilogue = "MatMulEpilogue";

bool is_matmul(const Node& node) {
  return (node.op_type == "MatMul" && node.domain.empty()) || (node.op_type == kEpilogue && node.domain == "fastort");
}

bool is_gemm(const Node& node) {
  return (node.op_type == "Gemm" && node.domain.empty()) ||
         (node.op_type == "FusedGemm" && node.domain == "com.microsoft");
}

Node epilogue(const Node& matmul) {
  Node fused;
  fused.op_type = std::string(kEpilogue);
  fused.domain = "fastort";
  fused.name = matmul.name;
  fused.inputs = matmul.inputs;
  fused.attributes = matmul.attributes;
  return fused;
}

void absorb(Sweep& sweep, int index, int maker_index, Node fused) {
  const std::string absorbed = fused_name(sweep.node(index));
  const Origin origin = sweep.node(maker_index).origin;
  sweep.become(index, std::move(fused), {absorbed});
  Origin& own = sweep.node(index).origin;
  own.node_name = origin.node_name;
  own.op_type = origin.op_type;
  own.fused.insert(own.fused.begin(), origin.fused.begin(), origin.fused.end());
  sweep.remove(maker_index);
}

template <class Is>
int sole_maker(Sweep& sweep, ValueId id, Is is) {
  const int index = id == kNoValue ? -1 : sweep.producer_index(id);
  return index >= 0 && sweep.single(id) && is(sweep.node(index)) ? index : -1;
}

// A * B + vector [N]: a bias. The product must have at least one dimension beside N, or the sum could broadcast it.
bool fuse_bias(Sweep& sweep, int index) {
  const Node& add = sweep.node(index);
  for (size_t k = 0; k < 2; ++k) {
    const int maker = sole_maker(sweep, add.inputs[k], is_matmul);
    if (maker < 0) continue;
    const Node& matmul = sweep.node(maker);
    const ValueId bias = add.inputs[1 - k];
    const Shape* shape = sweep.shape(bias);
    const Shape* product = sweep.shape(add.inputs[k]);
    const bool plain = !matmul.attributes.has("activation") && !matmul.has_input(2) && !matmul.has_input(3);
    if (!plain || !shape || !product || shape->rank() != 1 || product->rank() < 2) continue;
    if (!is_known((*shape)[0]) || (*shape)[0] != product->back() || sweep.type(bias) != DataType::Float) continue;
    Node fused = epilogue(matmul);
    fused.inputs.resize(3, kNoValue);
    fused.inputs[2] = bias;
    absorb(sweep, index, maker, std::move(fused));
    return true;
  }
  return false;
}

// A * B (+ bias) + tensor of the product's shape: a residual.
bool fuse_residual(Sweep& sweep, int index) {
  const Node& add = sweep.node(index);
  for (size_t k = 0; k < 2; ++k) {
    const int maker = sole_maker(sweep, add.inputs[k], is_matmul);
    if (maker < 0 || add.inputs[0] == add.inputs[1]) continue;
    const Node& matmul = sweep.node(maker);
    const Shape* product = sweep.shape(add.inputs[k]);
    if (matmul.attributes.has("activation") || matmul.has_input(3) || !product || product->rank() < 2) continue;
    if (!sweep.same_shape(add.inputs[0], add.inputs[1]) || sweep.type(add.inputs[k]) != DataType::Float) continue;
    Node fused = epilogue(matmul);
    fused.inputs.resize(4, kNoValue);
    fused.inputs[3] = add.inputs[1 - k];
    absorb(sweep, index, maker, std::move(fused));
    return true;
  }
  return false;
}

bool fuse_activation(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const auto activation = match_activation(sweep, node);
  if (!activation || sweep.type(node.inputs[0]) != DataType::Float) return false;
  const int matmul = sole_maker(sweep, node.inputs[0], is_matmul);
  const int gemm = matmul < 0 ? sole_maker(sweep, node.inputs[0], is_gemm) : -1;
  const int maker = matmul < 0 ? gemm : matmul;
  if (maker < 0 || sweep.node(maker).attributes.has("activation")) return false;
  Node fused = matmul >= 0 ? epilogue(sweep.node(maker)) : sweep.node(maker);
  if (gemm >= 0) {
    fused.op_type = "FusedGemm";
    fused.domain = "com.microsoft";
    fused.origin = {};
  }
  fused.attributes.set("activation", activation->name);
  if (!activation->parameters.empty()) fused.attributes.set("activation_alpha", activation->parameters[0]);
  if (activation->parameters.size() > 1) fused.attributes.set("activation_beta", activation->parameters[1]);
  absorb(sweep, index, maker, std::move(fused));
  return true;
}

}  // namespace

// MatMul and Gemm with bias, residual and activation in their epilogue.
int fuse_matmul(Graph& graph) {
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
