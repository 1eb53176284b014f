#pragma once

#include "base/error.h"
#include "graph/graph.h"

namespace fastort {

// The error with the node in front of its message, unless the message names a node already. A node without a name is
// named by what it makes.
Error name_error(const Error& error, const Graph& graph, const Node& node);

}  // namespace fastort
