#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {

// Removes nodes whose results nobody reads, and the constants that only they read.
int remove_dead_nodes(Graph& graph) {
  std::vector<bool> read(graph.values.size(), false);
  for (ValueId id : graph.outputs) read[static_cast<size_t>(id)] = true;
  int removed = 0;
  std::vector<bool> dead(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    Node& node = graph.nodes[i];
    bool needed = false;
    for (ValueId& id : node.outputs) {
      if (id == kNoValue) continue;
      needed |= read[static_cast<size_t>(id)];
    }
    if (!needed) {
      dead[i] = true;
      ++removed;
      continue;
    }
    for (ValueId id : node.inputs) {
      if (id != kNoValue) read[static_cast<size_t>(id)] = true;
    }
  }
  std::erase_if(graph.nodes, [&](const Node& node) { return dead[static_cast<size_t>(&node - graph.nodes.data())]; });
  for (ValueId id : graph.overridable) read[static_cast<size_t>(id)] = true;
  for (size_t id = 0; id < graph.values.size(); ++id) {
    if (!read[id]) graph.values[id].constant.reset();
  }
  return removed;
}

}  // namespace fastort
