#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/graph.h"

namespace fastort {
namespace {

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph), made_(graph.values.size(), false) {}

  void run() {
    if (graph_.symbols == nullptr) wrong("it has no symbol table");
    check_constants();
    for (ValueId id : graph_.inputs) make(id, "an input of the graph");
    for (ValueId id : graph_.overridable) {
      check_range(id, "an overridable initializer");
      if (graph_.constant(id) == nullptr) wrong("the overridable initializer " + named(id) + " has no value");
    }
    for (const Node& node : graph_.nodes) check_node(node);
    for (ValueId id : graph_.outputs) {
      check_range(id, "an output of the graph");
      if (!made_[index(id)]) wrong("the output " + named(id) + " is made by no node");
    }
  }

 private:
  [[noreturn]] void wrong(const std::string& what) const { invalid_graph("graph '" + graph_.name + "': " + what); }
  [[noreturn]] void wrong(const Node& node, const std::string& what) const {
    wrong(describe(graph_, node) + ": " + what);
  }

  static size_t index(ValueId id) { return static_cast<size_t>(id); }
  bool in_range(ValueId id) const { return id >= 0 && index(id) < graph_.values.size(); }
  std::string named(ValueId id) const { return "'" + graph_.value(id).name + "'"; }

  void check_range(ValueId id, const char* what) const {
    if (!in_range(id)) wrong(std::string(what) + " has the id " + std::to_string(id) + ", which is no value");
  }

  void make(ValueId id, const char* what) {
    check_range(id, what);
    if (made_[index(id)]) wrong("the value " + named(id) + " is " + what + " and made elsewhere too");
    made_[index(id)] = true;
  }

  void check_constants() {
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const ValueInfo& value = graph_.values[i];
      if (value.constant == nullptr) continue;
      made_[i] = true;
      if (value.constant->empty()) wrong("the constant '" + value.name + "' holds nothing");
      if (!value.type.is_tensor()) continue;
      if (value.type.element != value.constant->type() ||
          (value.type.is_concrete() && !(value.type.shape == value.constant->shape())))
        wrong("the constant '" + value.name + "' is " + describe(*value.constant) + ", its type says " +
              describe(value.type, *graph_.symbols));
    }
  }

  void check_node(const Node& node) {
    if (node.captures < 0 || index(node.captures) > node.inputs.size()) wrong(node, "wrong number of captures");
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      const bool capture = i >= node.inputs.size() - index(node.captures);
      if (id == kNoValue && !capture) continue;
      if (!in_range(id)) wrong(node, "input " + std::to_string(i) + " is no value of the graph");
      if (!made_[index(id)]) wrong(node, "it reads " + named(id) + ", which is not made before it");
    }
    check_bodies(node);
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      if (!in_range(id)) wrong(node, "an output is no value of the graph");
      if (made_[index(id)]) wrong(node, "it makes " + named(id) + ", which is made elsewhere too");
      made_[index(id)] = true;
    }
  }

  void check_bodies(const Node& node) const {
    bool has_body = false;
    for (const auto& [name, value] : node.attributes) {
      const auto* body = std::get_if<std::shared_ptr<Graph>>(&value);
      if (body == nullptr) continue;
      has_body = true;
      if (*body == nullptr) wrong(node, "the body '" + name + "' is missing");
      if ((*body)->inputs.size() < index(node.captures))
        wrong(node, "the body '" + name + "' has fewer inputs than the node has captures");
      if ((*body)->symbols != graph_.symbols) wrong(node, "the body '" + name + "' has another symbol table");
      verify(**body);
    }
    if (node.captures > 0 && !has_body) wrong(node, "it has captures but no body");
  }

  const Graph& graph_;
  std::vector<bool> made_;
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

}  // namespace fastort
