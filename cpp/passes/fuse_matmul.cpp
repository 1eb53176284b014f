#include <algorithm>

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

// A Transpose of the last two axes that only this product reads is read as it lies.
bool fuse_transpose(Sweep& sweep, int index) {
  const Node& matmul = sweep.node(index);
  if (!is_matmul(matmul) || sweep.type(matmul.inputs[0]) != DataType::Float) return false;
  for (size_t k = 0; k < 2; ++k) {
    const ValueId id = matmul.inputs[k];
    const Node* transpose = sweep.single(id) ? sweep.producer(id, "Transpose") : nullptr;
    const Shape* shape = transpose ? sweep.shape(id) : nullptr;
    const char* attribute = k == 0 ? "transA" : "transB";
    if (!shape || shape->rank() < 2 || matmul.attributes.get_int(attribute, 0) != 0) continue;
    std::vector<int64_t> perm = transpose->attributes.get_ints("perm");
    if (perm.empty() && shape->rank() == 2) perm = {1, 0};
    if (static_cast<int>(perm.size()) != shape->rank()) continue;
    std::swap(perm[perm.size() - 2], perm[perm.size() - 1]);
    if (!std::is_sorted(perm.begin(), perm.end())) continue;
    Node fused = epilogue(matmul);
    fused.attributes.set(attribute, int64_t{1});
    fused.inputs[k] = transpose->inputs[0];
    const int transpose_index = sweep.producer_index(id);
    const std::string absorbed = fused_name(*transpose);
    sweep.become(index, std::move(fused), {absorbed});
    sweep.remove(transpose_index);
    return true;
  }
  return false;
}

// Reshape(Gemm(Reshape(x), B, C)), as exporters write a product of more than two dimensions: the rows of x stay what
// they are, so that the product reads x and what follows finds its shape again.
bool fuse_rows(Sweep& sweep, int index) {
  const Node& reshape = sweep.node(index);
  const int maker = sole_maker(sweep, reshape.inputs[0], is_gemm);
  if (maker < 0 || sweep.type(reshape.outputs[0]) != DataType::Float) return false;
  const Node& gemm = sweep.node(maker);
  const Attributes& attributes = gemm.attributes;
  const Node* rows = sweep.producer(gemm.inputs[0], "Reshape");
  if (!rows || attributes.get_int("transA", 0) != 0 || attributes.has("activation")) return false;
  const ValueId x = rows->inputs[0];
  const Shape *from = sweep.shape(x), *flat = sweep.shape(gemm.inputs[0]), *product = sweep.shape(reshape.inputs[0]),
              *to = sweep.shape(reshape.outputs[0]);
  if (!from || !flat || !product || !to || from->rank() < 2 || from->rank() != to->rank()) return false;
  const auto k = from->back(), n = to->back();
  if (!is_known(k) || k == 0 || flat->back() != k || product->back() != n) return false;
  for (size_t d = 0; d + 1 < from->size(); ++d)
    if ((*from)[d] != (*to)[d] || (*from)[d] == 0) return false;
  Node fused = make_node(std::string(kEpilogue), {x, gemm.inputs[1]});
  fused.domain = "fastort";
  fused.name = gemm.name;
  if (gemm.has_input(2)) {
    const Shape* bias = sweep.shape(gemm.inputs[2]);
    if (!bias || bias->rank() != 1 || bias->back() != n || attributes.get_float("beta", 1) != 1) return false;
    fused.inputs.push_back(gemm.inputs[2]);
  }
  if (attributes.get_int("transB", 0) != 0) fused.attributes.set("transB", int64_t{1});
  if (const float alpha = attributes.get_float("alpha", 1); alpha != 1) fused.attributes.set("alpha", alpha);
  absorb(sweep, index, maker, std::move(fused));
  return true;
}

// (A * B) * number.
bool fuse_factor(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  const bool divide = node.op_type == "Div";
  for (size_t k = 0; k < (divide ? 1u : 2u); ++k) {
    const int maker = sole_maker(sweep, node.inputs[k], is_matmul);
    const auto factor = sweep.scalar(node.inputs[1 - k]);
    if (maker < 0 || !factor || (divide && *factor == 0)) continue;
    const Node& matmul = sweep.node(maker);
    if (matmul.attributes.has("activation") || matmul.has_input(2) || matmul.has_input(3)) continue;
    if (!sweep.same_shape(node.inputs[k], node.outputs[0]) || sweep.type(node.inputs[k]) != DataType::Float) continue;
    Node fused = epilogue(matmul);
    const float alpha = matmul.attributes.get_float("alpha", 1);
    fused.attributes.set("alpha", divide ? alpha / *factor : alpha * *factor);
    absorb(sweep, index, maker, std::move(fused));
    return true;
  }
  return false;
}

}  // namespace

// MatMul and Gemm with transposed operands, reshaped rows, factor, bias, residual and activation in their epilogue.
int fuse_matmul(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (sweep.removed(i)) continue;
    const Node& node = sweep.node(i);
    if (!node.domain.empty()) continue;
    if (node.op_type == "MatMul") {
      fuse_transpose(sweep, i);
    } else if (node.op_type == "Mul" || node.op_type == "Div") {
      fuse_factor(sweep, i);
    } else if (node.op_type == "Reshape") {
      fuse_rows(sweep, i);
    } else if (node.op_type == "Add") {
      if (!fuse_bias(sweep, i)) fuse_residual(sweep, i);
    } else {
      fuse_activation(sweep, i);
    }
  }
  return sweep.finish();
}

}  // namespace fastort
