#pragma once

#include "ops/op.h"

namespace fastort {

// What is known about a value beyond its type, while types are inferred.
struct KnownValue {
  const Tensor* tensor = nullptr;  // the whole value
  std::optional<Shape> dims;       // the value of an integer tensor of rank <= 1, symbols allowed
};

struct InferredNode {
  std::vector<ValueType> types;            // one for each output; kind Unknown where nothing can be said
  std::vector<std::optional<Shape>> dims;  // see InferContext::output_dims
};

// Runs the operator's inference for one node. Throws InvalidGraph where the inputs do not fit the operator.
InferredNode infer_node(const OpDef& op, const Node& node, std::span<const ValueType> inputs,
                        std::span<const KnownValue> known, SymbolTable& symbols);

// Infers types, ranks and symbolic dimensions of every value of the graph and of its bodies. A type that the model
// declares is kept where it says more than what is inferred; a contradiction of types throws InvalidGraph, one of
// shapes is logged and the inferred shape kept.
// Throws NotImplemented for a node without an operator.
void infer_graph(Graph& graph);

}  // namespace fastort
