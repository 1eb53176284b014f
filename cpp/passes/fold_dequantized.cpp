#include "ops/core/evaluate.h"
#include "passes/passes.h"
#include "passes/quantized.h"

namespace fastort {
namespace {

// Floats that weights may become; what is beyond is dequantized in every run.
constexpr size_t kMaxBytes = size_t{1} << 30;

}  // namespace

// Constants that no integer operator took become floats once, not in every run.
int fold_dequantized(Graph& graph) {
  Sweep sweep(graph);
  size_t left = kMaxBytes;
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& node = sweep.node(i);
    if (node.op_type != "DequantizeLinear" || graph.is_output(node.outputs[0])) continue;
    const auto values = constant_floats(sweep, node.outputs[0]);
    if (!values || values->bytes() > left) continue;
    left -= values->bytes();
    ValueInfo& value = graph.value(node.outputs[0]);
    value.constant = std::make_shared<Tensor>(*values);
    value.type = ValueType::tensor(values->type(), values->shape());
    sweep.remove(i);
  }
  return sweep.finish();
}

}  // namespace fastort
