#pragma once

#include <vector>

#include <onnx/onnx_pb.h>

namespace fastort {

using NodeProtos = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

// The nodes so that each stands behind those whose outputs it or one of its subgraphs reads; nodes that are in order
// already stay so. Throws Error(Fail) naming the nodes of a cycle.
std::vector<const onnx::NodeProto*> in_order(const NodeProtos& nodes);

}  // namespace fastort
