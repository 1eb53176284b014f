#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {
namespace {

constexpr std::string_view kDomain = "com.microsoft", kToFloat = "MatMulIntegerToFloat";
enum Input { kA, kB, kAScale, kBScale, kAZero, kBZero, kBias };

bool is_one_item(const Sweep& sweep, ValueId id) {
  const Shape* shape = sweep.shape(id);
  return shape && shape->rank() <= 1 && (shape->rank() == 0 || (*shape)[0] == 1);
}

// One item, or one for each column of `product`.
bool is_for_columns(const Sweep& sweep, ValueId id, const Shape& product) {
  const Shape* shape = sweep.shape(id);
  return is_one_item(sweep, id) ||
         (shape && shape->rank() == 1 && is_known((*shape)[0]) && (*shape)[0] == product.back());
}

// Cast(MatMulInteger(a, b)) * (a's scale * b's scale).
bool fuse_scales(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  for (size_t k = 0; k < 2; ++k) {
    const ValueId floats = node.inputs[k], scale = node.inputs[1 - k];
    const Node* cast = sweep.single(floats) ? sweep.producer(floats, "Cast") : nullptr;
    const Node* scales = cast ? sweep.producer(scale, "Mul") : nullptr;
    if (!scales || sweep.type(floats) != DataType::Float || !sweep.same_shape(floats, node.outputs[0])) continue;
    const Node* integers = sweep.single(cast->inputs[0]) ? sweep.producer(cast->inputs[0], "MatMulInteger") : nullptr;
    const Shape* product = integers ? sweep.shape(floats) : nullptr;
    if (!product || product->rank() < 2 || (integers->has_input(2) && !is_one_item(sweep, integers->inputs[2])) ||
        (integers->has_input(3) && !is_for_columns(sweep, integers->inputs[3], *product)))
      continue;
    const size_t a = is_one_item(sweep, scales->inputs[0]) ? 0 : 1;
    if (!is_one_item(sweep, scales->inputs[a]) || !is_for_columns(sweep, scales->inputs[1 - a], *product)) continue;
    Node fused = make_node(std::string(kToFloat), integers->inputs);
    fused.domain = kDomain;
    fused.name = integers->name;
    fused.inputs.resize(kBias, kNoValue);
    fused.inputs[kAZero] = fused.inputs[2];
    fused.inputs[kBZero] = fused.inputs[3];
    fused.inputs[kAScale] = scales->inputs[a];
    fused.inputs[kBScale] = scales->inputs[1 - a];
    const int cast_index = sweep.producer_index(floats), product_index = sweep.producer_index(cast->inputs[0]);
    std::vector<std::string> names{fused_name(*integers), fused_name(*cast), fused_name(node)};
    sweep.become(index, std::move(fused), std::move(names));
    sweep.remove(cast_index);
    sweep.remove(product_index);
    return true;
  }
  return false;
}

// The same + vector [N].
bool fuse_bias(Sweep& sweep, int index) {
  const Node& node = sweep.node(index);
  for (size_t k = 0; k < 2; ++k) {
    const ValueId floats = node.inputs[k], bias = node.inputs[1 - k];
    const Node* product = sweep.single(floats) ? sweep.producer(floats, kToFloat, kDomain) : nullptr;
    const Shape *sums = product ? sweep.shape(floats) : nullptr, *vector = sweep.shape(bias);
    if (!sums || product->has_input(kBias) || !vector || vector->rank() != 1 || !is_known((*vector)[0]) ||
        (*vector)[0] != sums->back() || sweep.type(bias) != DataType::Float)
      continue;
    Node fused = *product;
    fused.outputs.clear();
    fused.origin = {};
    fused.inputs.resize(kBias + 1, kNoValue);
    fused.inputs[kBias] = bias;
    const int product_index = sweep.producer_index(floats);
    std::vector<std::string> names = product->origin.fused;
    names.push_back(fused_name(node));
    sweep.become(index, std::move(fused), std::move(names));
    sweep.remove(product_index);
    return true;
  }
  return false;
}

}  // namespace

// Products of bytes with what makes floats of their sums, as dynamic quantization writes them.
int fuse_integer_products(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    if (sweep.removed(i) || !sweep.node(i).domain.empty()) continue;
    if (sweep.node(i).op_type == "Mul")
      fuse_scales(sweep, i);
    else if (sweep.node(i).op_type == "Add")
      fuse_bias(sweep, i);
  }
  return sweep.finish();
}

}  // namespace fastort
