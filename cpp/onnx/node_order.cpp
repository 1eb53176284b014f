#include "onnx/node_order.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "onnx/schemas.h"

namespace fastort {
namespace {

using Names = std::unordered_set<std::string_view>;

void add_reads(const onnx::NodeProto& node, Names& reads);

// Names that a subgraph reads and does not define.
void add_free_names(const onnx::GraphProto& graph, Names& reads) {
  Names inner;
  for (const auto& node : graph.node()) add_reads(node, inner);
  for (const auto& output : graph.output()) inner.insert(output.name());
  for (const auto& input : graph.input()) inner.erase(input.name());
  for (const auto& tensor : graph.initializer()) inner.erase(tensor.name());
  for (const auto& tensor : graph.sparse_initializer()) inner.erase(tensor.values().name());
  for (const auto& node : graph.node())
    for (const std::string& output : node.output()) inner.erase(output);
  reads.merge(inner);
}

void add_reads(const onnx::NodeProto& node, Names& reads) {
  for (const std::string& input : node.input()) reads.insert(input);
  for (const auto& attribute : node.attribute()) {
    if (attribute.has_g()) add_free_names(attribute.g(), reads);
    for (const auto& graph : attribute.graphs()) add_free_names(graph, reads);
  }
  // It names what it differentiates.
  if (node.op_type() == "Gradient" && node.domain() == "ai.onnx.preview.training")
    for (const auto& attribute : node.attribute())
      if (attribute.name() == "y") reads.insert(attribute.s());
}

// For each node the nodes that it depends on.
std::vector<std::vector<int>> dependencies(const NodeProtos& nodes) {
  std::unordered_map<std::string_view, int> producers;
  for (int i = 0; i < nodes.size(); ++i)
    for (const std::string& output : nodes[i].output())
      if (!output.empty()) producers.emplace(output, i);
  std::vector<std::vector<int>> result(static_cast<size_t>(nodes.size()));
  Names reads;
  for (int i = 0; i < nodes.size(); ++i) {
    reads.clear();
    add_reads(nodes[i], reads);
    for (const std::string_view name : reads)
      if (const auto found = producers.find(name); found != producers.end())
        result[static_cast<size_t>(i)].push_back(found->second);
  }
  return result;
}

[[noreturn]] void report_cycle(const NodeProtos& nodes, const std::vector<std::vector<int>>& needs,
                               const std::vector<int>& waiting) {
  // Every node that still waits needs one that waits, so following them must come back to one seen before.
  const auto is_waiting = [&](int i) { return waiting[static_cast<size_t>(i)] > 0; };
  int at = 0;
  while (!is_waiting(at)) ++at;
  std::vector<int> path;
  for (std::unordered_set<int> seen; seen.insert(at).second;) {
    path.push_back(at);
    const auto& need = needs[static_cast<size_t>(at)];
    at = *std::find_if(need.begin(), need.end(), is_waiting);
  }
  std::string cycle;
  constexpr size_t kNamed = 8;
  const auto begin = std::find(path.begin(), path.end(), at);
  for (auto it = begin; it != path.end() && it - begin < static_cast<ptrdiff_t>(kNamed); ++it)
    cycle += describe_node(nodes[*it]) + " reads an output of ";
  fail(ErrorCode::Fail,
       "This is an invalid model. Error: the graph is not acyclic: " + cycle + describe_node(nodes[at]));
}

}  // namespace

std::vector<const onnx::NodeProto*> in_order(const NodeProtos& nodes) {
  const std::vector<std::vector<int>> needs = dependencies(nodes);
  std::vector<std::vector<int>> readers(needs.size());
  std::vector<int> waiting(needs.size());
  for (size_t i = 0; i < needs.size(); ++i) {
    waiting[i] = static_cast<int>(needs[i].size());
    for (const int need : needs[i]) readers[static_cast<size_t>(need)].push_back(static_cast<int>(i));
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t i = 0; i < waiting.size(); ++i)
    if (waiting[i] == 0) ready.push(static_cast<int>(i));
  std::vector<const onnx::NodeProto*> sorted;
  sorted.reserve(needs.size());
  while (!ready.empty()) {
    const int i = ready.top();
    ready.pop();
    sorted.push_back(&nodes[i]);
    for (const int reader : readers[static_cast<size_t>(i)])
      if (--waiting[static_cast<size_t>(reader)] == 0) ready.push(reader);
  }
  if (sorted.size() != needs.size()) report_cycle(nodes, needs, waiting);
  return sorted;
}

}  // namespace fastort
