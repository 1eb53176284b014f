#include "passes/passes.h"
#include "passes/rewrite.h"

namespace fastort {

// Plans and runs keep tables by value: what the passes left behind is taken out of them.
void compact_values(Graph& graph) {
  std::vector<ValueId> renamed(graph.values.size(), kNoValue);
  const auto mark = [&](const std::vector<ValueId>& ids) {
    for (ValueId id : ids) {
      if (id != kNoValue) renamed[static_cast<size_t>(id)] = 0;
    }
  };
  for (Node& node : graph.nodes) {
    mark(node.inputs);
    mark(node.outputs);
    for (Graph* body : bodies(node)) compact_values(*body);
  }
  mark(graph.inputs);
  mark(graph.outputs);
  mark(graph.overridable);
  size_t kept = 0;
  for (size_t id = 0; id < renamed.size(); ++id) {
    if (renamed[id] == kNoValue) continue;
    renamed[id] = static_cast<ValueId>(kept);
    if (kept != id) graph.values[kept] = std::move(graph.values[id]);
    ++kept;
  }
  graph.values.resize(kept);
  const auto rename = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) {
      if (id != kNoValue) id = renamed[static_cast<size_t>(id)];
    }
  };
  for (Node& node : graph.nodes) {
    rename(node.inputs);
    rename(node.outputs);
  }
  rename(graph.inputs);
  rename(graph.outputs);
  rename(graph.overridable);
}

}  // namespace fastort
