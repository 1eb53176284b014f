#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "ops/core/custom.h"
#include "ops/op.h"

namespace fastort {

// A graph made ready for planning: everything that does not depend on shapes.
class Program {
 public:
  // Takes a graph whose types are inferred. Throws NotImplemented for a node without an operator or with a type that
  // its operator does not take.
  explicit Program(std::shared_ptr<const Graph> graph);

  const Graph& graph() const { return *graph_; }
  const std::shared_ptr<const Graph>& shared_graph() const { return graph_; }
  // Those that the thread knew which made the program.
  const std::shared_ptr<const CustomOps>& custom_ops() const { return custom_ops_; }
  const OpDef& op(int node) const { return *ops_[static_cast<size_t>(node)]; }

  // True where plans depend on the contents of this value and not only on its shape.
  bool needs_value(ValueId id) const { return needs_value_[static_cast<size_t>(id)]; }

  // Index of the last node that reads the value; the number of nodes for a graph output; -1 where nobody does.
  int last_use(ValueId id) const { return last_use_[static_cast<size_t>(id)]; }

  // Values that a plan which starts at node `begin` reads from outside: made earlier, or fed.
  const std::vector<ValueId>& live_in(int begin) const;

 private:
  void check_types() const;
  void find_needed_values();
  std::vector<ValueId> find_live_in(int begin) const;

  std::shared_ptr<const Graph> graph_;
  std::shared_ptr<const CustomOps> custom_ops_ = CustomOpsScope::current();
  std::vector<const OpDef*> ops_;
  std::vector<bool> needs_value_;
  std::vector<int> last_use_;
  std::vector<ValueId> fed_;  // live_in(0), which every run asks for
  mutable std::mutex mutex_;
  mutable std::map<int, std::vector<ValueId>> live_in_;
};

}  // namespace fastort
