#pragma once

#include "graph/graph.h"

namespace fastort {

// Each pass rewrites one graph (not its bodies) and returns the number of changes. A pass never fires where an inner
// value of its pattern is a graph output or has another reader.

int remove_dead_nodes(Graph& graph);
int remove_identities(Graph& graph);
int fold_constants(Graph& graph);
int merge_equal_nodes(Graph& graph);
int merge_views(Graph& graph);
int fuse_quantized(Graph& graph);
int fold_dequantized(Graph& graph);
int fold_batch_normalization(Graph& graph);
int fuse_layer_normalization(Graph& graph);
int recognize_activations(Graph& graph);
int fuse_attention(Graph& graph);
int fuse_past(Graph& graph);
int move_transposes(Graph& graph);
int fold_scales(Graph& graph);
int fold_pads(Graph& graph);
int fuse_conv(Graph& graph);
int fuse_depthwise(Graph& graph);
int fuse_integer_products(Graph& graph);
int fuse_matmul(Graph& graph);
int fuse_batch_normalization(Graph& graph);
int fuse_elementwise_chains(Graph& graph);

// Takes out the values that no node and no input or output of the graph names, here and in the bodies.
void compact_values(Graph& graph);

}  // namespace fastort
