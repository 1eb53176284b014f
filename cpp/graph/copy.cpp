#include "graph/graph.h"

namespace fastort {

std::shared_ptr<Graph> deep_copy(const Graph& graph) {
  auto copy = std::make_shared<Graph>(graph);
  for (Node& node : copy->nodes) {
    for (auto& [name, attribute] : node.attributes) {
      if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) *body = deep_copy(**body);
    }
  }
  return copy;
}

}  // namespace fastort
