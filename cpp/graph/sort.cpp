#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"

namespace fastort {
namespace {

enum class State : uint8_t { Waiting, Open, Done };

struct Open {
  size_t node;
  size_t next_input;
};

bool in_range(const Graph& graph, ValueId id) { return id >= 0 && static_cast<size_t>(id) < graph.values.size(); }

// The node that makes each value, or -1.
std::vector<int> producers_of(const Graph& graph) {
  std::vector<int> producers(graph.values.size(), -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId id : graph.nodes[i].outputs) {
      if (id == kNoValue) continue;
      if (!in_range(graph, id)) invalid_graph(describe(graph, graph.nodes[i]) + ": an output is no value of the graph");
      int& producer = producers[static_cast<size_t>(id)];
      if (producer >= 0)
        invalid_graph("the value '" + graph.value(id).name + "' is made twice: by " +
                      describe(graph, graph.nodes[static_cast<size_t>(producer)]) + " and by " +
                      describe(graph, graph.nodes[i]));
      producer = static_cast<int>(i);
    }
  }
  return producers;
}

[[noreturn]] void fail_cycle(const Graph& graph, const std::vector<Open>& open, size_t again) {
  constexpr size_t kShown = 5;
  size_t start = open.size() - 1;
  while (open[start].node != again) --start;
  std::string text = "the graph has a cycle: " + describe(graph, graph.nodes[again]);
  for (size_t i = open.size() - 1, shown = 0; i > start; --i, ++shown) {
    if (shown == kShown) {
      text += ", and " + std::to_string(i - start) + " more";
      break;
    }
    text += ", which reads from " + describe(graph, graph.nodes[open[i].node]);
  }
  invalid_graph(text + (open.size() - start > 1 ? ", which reads from the first" : " reads its own output"));
}

}  // namespace

// A depth-first walk from the nodes in their given order: a node follows at once when all that it reads is made, so an
// order that is fine stays as it is.
void sort_topologically(Graph& graph) {
  const std::vector<int> producers = producers_of(graph);
  std::vector<State> states(graph.nodes.size(), State::Waiting);
  std::vector<size_t> order;
  order.reserve(graph.nodes.size());
  std::vector<Open> open;
  for (size_t root = 0; root < graph.nodes.size(); ++root) {
    if (states[root] != State::Waiting) continue;
    states[root] = State::Open;
    open.push_back({root, 0});
    while (!open.empty()) {
      const size_t node = open.back().node;
      const std::vector<ValueId>& inputs = graph.nodes[node].inputs;
      if (open.back().next_input == inputs.size()) {
        states[node] = State::Done;
        order.push_back(node);
        open.pop_back();
        continue;
      }
      const ValueId input = inputs[open.back().next_input++];
      if (input == kNoValue) continue;
      if (!in_range(graph, input))
        invalid_graph(describe(graph, graph.nodes[node]) + ": an input is no value of the graph");
      const int producer = producers[static_cast<size_t>(input)];
      if (producer < 0) continue;
      const auto next = static_cast<size_t>(producer);
      if (states[next] == State::Open) fail_cycle(graph, open, next);
      if (states[next] == State::Done) continue;
      states[next] = State::Open;
      open.push_back({next, 0});
    }
  }
  std::vector<Node> sorted;
  sorted.reserve(order.size());
  for (size_t node : order) sorted.push_back(std::move(graph.nodes[node]));
  graph.nodes = std::move(sorted);
}

}  // namespace fastort
