#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ops/core/evaluate.h"
#include "ops/gpu.h"
#include "plan/candidates.h"
#include "plan/instance.h"
#include "plan/placement.h"

// What the planner keeps while it makes a plan: each stage (walk, builder, emit) reads what the ones before it found
// out.
namespace fastort {

// What the planner knows of a value.
struct Known {
  enum class State { Absent, Planned, Held } state = State::Absent;
  TensorDesc desc;            // Planned: concrete, plain
  Tensor value;               // where the contents are known now
  std::optional<Shape> dims;  // the contents of a small integer tensor
  ValueId root = kNoValue;    // the value whose memory this one views
  bool made_here = false;     // by a node of this plan
};

// Whether plans cannot tell the one from the other.
bool same(const Known& a, const Known& b);

// Takes the contents of a value; those of small integer tensors as sizes, too.
inline void set_value(Known& known, const Tensor& tensor) {
  known.value = tensor;
  const bool small = tensor.shape().rank() <= 1 && tensor.count() <= 64;
  if (small && (tensor.type() == DataType::Int64 || tensor.type() == DataType::Int32)) {
    known.dims.emplace();
    for (int64_t item : to_int64s(tensor)) known.dims->push_back(item);
  }
}

// A node in the order of the plan: a kernel call, a call through a frame, a view (nothing to run), or a node of the
// device's.
struct Item {
  enum class Kind { Compute, Dynamic, View, Device } kind;
  int node;
  int planned = -1;  // index into Draft::planned for Compute, into Draft::device_nodes for Device
};

// What became of a node in the walk. `Known`: its results are known, and nothing is left to run.
enum class Fate : uint8_t { None, Known, View, Compute, Dynamic, Device };

// A node whose kernel goes through a frame.
struct DynamicNode {
  FrameInfo frame;
  std::shared_ptr<const Prepared> kernel;
  std::shared_ptr<const Decision> decision;
};

// A node that runs on the device.
struct DeviceNode {
  int node = -1;
  std::vector<TensorDesc> inputs, outputs;
  DeviceForm form;
  std::vector<std::shared_ptr<Tensor>> holders;  // of the constants that these point to
  std::vector<std::string> notes;                // how its kernels were chosen, where not by the rule
};

// What is noted of values, found by their small numbers.
template <class T>
class Notes {
 public:
  Notes(size_t count, T none) : none_(none), items_(count, none) {}
  bool contains(size_t key) const { return items_[key] != none_; }
  T& operator[](size_t key) { return items_[key]; }
  const T& operator[](size_t key) const { return items_[key]; }
  void clear() { std::fill(items_.begin(), items_.end(), none_); }

 private:
  T none_;
  std::vector<T> items_;
};

inline size_t at(ValueId id) { return static_cast<size_t>(id); }

// A plan in the making: what one stage finds out and the next ones read. It stays behind for the next plan.
struct Draft {
  Draft(const Program& from, int begin);

  // Takes the inputs of the first plan.
  void start(std::span<const PlanInput> inputs);
  // Takes those of a next one, and marks as changed what is not as it was; false where they differ in more than sizes
  // and contents.
  bool restart(std::span<const PlanInput> inputs);

  // What is known of a value; a constant of the graph is known from its first reader on.
  Known& known(ValueId id);
  uint32_t add_external(External external);
  OpContext context(const Node& node, std::span<const TensorDesc> inputs, std::span<const TensorDesc> outputs) const {
    return {node, inputs, outputs, services->options, services->packs, services->compile_body};
  }
  std::span<const ValueId> inputs_of(int node) const {
    const auto i = static_cast<size_t>(node);
    return std::span(node_inputs_).subspan(first_input_[i], first_input_[i + 1] - first_input_[i]);
  }

  const Program& program;
  const Graph& graph;
  const PlanServices* services = nullptr;  // of the plan that is made
  std::shared_ptr<Instance> plan;
  SymbolTable symbols;

  // By the walk.
  int end = 0;
  std::vector<Known> values;
  std::vector<char> changed;    // of the values: not as they were for the plan before
  std::vector<Fate> fates;      // of the nodes
  std::vector<int> planned_at;  // of the nodes with a kernel: index into `planned`
  std::vector<Item> order;
  std::vector<PlannedNode> planned;
  std::unordered_map<int, DynamicNode> dynamic;  // by node
  std::vector<std::shared_ptr<Buffer>> folded;   // deferred contents that were read, which the next plan reads again
  std::vector<DeviceNode> device_nodes;
  // Nodes that the device does not take, though no shape depends on them, with the reasons; in the order of the graph.
  std::vector<std::pair<int, std::string>> refused;

  // By the look at who reads what.
  std::vector<ValueId> leaving;            // made here, and read by the caller or a later plan
  Notes<ValueId> written_as;               // root -> the leaving value whose external is its memory
  Notes<int> external_of;                  // index among the externals
  Notes<int> uses;                         // of a root's memory by steps not yet written
  std::unordered_set<ValueId> host_reads;  // with a device: roots that the host or the caller reads

 private:
  void begin_plan(std::span<const PlanInput> inputs);

  int begin_;
  std::vector<size_t> first_input_;  // of each node among node_inputs_
  std::vector<ValueId> node_inputs_;
};

// The tensor at an address that lives as long as `holders`.
const Tensor* keep(const Tensor& tensor, std::vector<std::shared_ptr<Tensor>>& holders);

// A kernel with what is asked of it.
std::shared_ptr<const Prepared> prepared(std::unique_ptr<Kernel> kernel, std::vector<std::shared_ptr<Tensor>> holders);

}  // namespace fastort
