// Scan of opset 8 ran over the second axis, once for each element of a batch.
#include <string>
#include <vector>

#include "graph/graph.h"
#include "onnx/lift.h"

namespace fastort {
namespace {

// An outer Scan over the batch whose body is a Scan over the sequence. The outer one has no state: the states of one
// element of the batch come as its scan inputs and leave as its scan outputs.
void scan_9(Lift& lift) {
  Node& node = lift.node;
  if (lift.has_input(0)) lift.unsupported("'sequence_lens' of opset 8 is not supported");
  const std::shared_ptr<Graph> body = lift.attributes().get_graph("body");
  const int64_t sequences = lift.attributes().get_int("num_scan_inputs");
  const std::vector<int64_t> directions = lift.attributes().get_ints("directions");
  const std::vector<ValueId> captured(node.inputs.end() - node.captures, node.inputs.end());
  const std::vector<ValueId> formal(node.inputs.begin() + 1, node.inputs.end() - node.captures);

  auto batch_body = std::make_shared<Graph>();
  batch_body->name = body->name + "/batch";
  batch_body->symbols = body->symbols;
  Node inner;
  inner.op_type = "Scan";
  inner.name = node.name + "/sequence";
  inner.origin = node.origin;
  inner.captures = node.captures;
  for (size_t i = 0; i < formal.size() + captured.size(); ++i) {
    const ValueId id = batch_body->add_value("input_" + std::to_string(i));
    batch_body->inputs.push_back(id);
    inner.inputs.push_back(id);
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId id = batch_body->add_value("output_" + std::to_string(i));
    batch_body->outputs.push_back(id);
    inner.outputs.push_back(id);
  }
  inner.attributes.set("body", body);
  inner.attributes.set("num_scan_inputs", sequences);
  if (!directions.empty()) inner.attributes.set("scan_input_directions", directions);
  batch_body->nodes.push_back(std::move(inner));

  node.attributes = {};
  node.attributes.set("body", batch_body);
  node.attributes.set("num_scan_inputs", static_cast<int64_t>(formal.size()));
  node.inputs.erase(node.inputs.begin());
}

constexpr LiftRow kRows[] = {{"", "Scan", 9, scan_9}};

}  // namespace

std::span<const LiftRow> scan_lifts() { return kRows; }

}  // namespace fastort
