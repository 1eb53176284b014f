#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {

// A BatchNormalization that no convolution took writes the Relu behind it.
int fuse_batch_normalization(Graph& graph) {
  Sweep sweep(graph);
  for (int i = 0; i < sweep.node_count(); ++i) {
    const Node& relu = sweep.node(i);
    if (sweep.removed(i) || relu.op_type != "Relu" || !relu.domain.empty() || !sweep.single(relu.inputs[0])) continue;
    const Node* norm = sweep.producer(relu.inputs[0], "BatchNormalization");
    if (!norm || norm->outputs.size() != 1 || norm->attributes.get_int("training_mode", 0) != 0) continue;
    const int norm_index = sweep.producer_index(relu.inputs[0]);
    Node fused = *norm;
    fused.op_type = "FusedBatchNormalization";
    fused.domain = "fastort";
    fused.attributes.set("activation", std::string("Relu"));
    fused.origin = {};
    const std::string absorbed = fused_name(relu);
    const Origin origin = norm->origin;
    sweep.become(i, std::move(fused), {absorbed});
    sweep.node(i).origin.node_name = origin.node_name;
    sweep.node(i).origin.op_type = origin.op_type;
    sweep.remove(norm_index);
  }
  return sweep.finish();
}

}  // namespace fastort
