#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plan/choices.h"
#include "plan/program.h"

namespace fastort {

// Where a pointer of a step comes from. An alias is an offset.
enum class Loc : uint8_t { None, Arena, External, Constant };
struct Slot {
  Loc loc = Loc::None;
  uint32_t base = 0;   // External, Constant: which
  int64_t offset = 0;  // bytes
};

// A value that enters or leaves a plan: fed, made by an earlier plan, or read by a later one or by the caller.
struct External {
  ValueId id = kNoValue;
  DataType type = DataType::Undefined;
  Shape shape;
  bool made_here = false;  // the run allocates it (or takes the caller's buffer) before the first step
  // Only the device reads or writes it: it may be memory of the device.
  bool device_only = false;
  // Made here for later plans alone, which look at nothing but its shape: it stays on the device where it was made.
  bool stays = false;

  size_t bytes() const { return static_cast<size_t>(shape.count()) * element_size(type); }
};

// An external that a segment on the device reads or writes.
struct DeviceUse {
  uint32_t external = 0;
  uint32_t segment = 0;
  uint32_t operand = 0;  // of the segment's uploads, or downloads
  bool output = false;
};

// One kernel call. Its pointers are a run of Instance::slots: inputs, then outputs.
struct Step {
  const Kernel* kernel = nullptr;
  uint32_t first_slot = 0;
  uint16_t num_inputs = 0;
  uint16_t num_outputs = 0;
  int32_t node = -1;              // of the graph; -1 for a copy or a reorder that the plan added
  int32_t state = -1;             // index among the context's kernel states
  int64_t workspace_offset = -1;  // in the arena
  int32_t frame = -1;             // index into Instance::frames for kernels that use a Frame
};

// What a Frame must know of a step: its inputs' types and shapes (those that have a planned place).
struct FrameInfo {
  std::vector<TensorDesc> inputs;
};

// Why a node runs as it does, for `explain()`.
struct Decision {
  int node = -1;
  std::string candidate;
  std::string_view provider = "CPUExecutionProvider";
  Layout in = Layout::Plain;
  Layout out = Layout::Plain;
  std::vector<std::string> refusals;  // "name: reason" of candidates that stood before it
  std::vector<std::string> notes;     // how it was chosen, where not by the cost rule
  // Of the node, where PlanServices::keep_types asks for them. Without a shape where only the run shows it.
  std::vector<TensorDesc> inputs, outputs;
};

// A kernel with what its plans ask of it. Plans of neighbouring shapes share those that are the same.
struct Prepared {
  std::unique_ptr<Kernel> kernel;
  size_t workspace_bytes = 0;
  uint32_t unread_inputs = 0;
  bool stateful = false;                         // wants a state in each context
  std::vector<std::shared_ptr<Tensor>> holders;  // tensors whose addresses the kernel or its frame keeps
};

// A plan for concrete shapes: nodes [begin, end) of a program as a flat list of steps. Immutable once built, shared by
// the contexts that run it. A plan ends where the next node needs a shape or a value that is known only when the run
// has come that far.
struct Instance {
  int begin = 0;
  int end = 0;
  std::vector<Step> steps;
  std::vector<Slot> slots;
  std::vector<External> externals;
  std::vector<FrameInfo> frames;
  std::vector<std::shared_ptr<const Decision>> decisions;
  size_t arena_bytes = 0;
  std::vector<std::shared_ptr<const Prepared>> kernels;
  std::vector<const Kernel*> stateful;  // kernels that want a state in each context
  std::vector<DeviceUse> device_uses;
  int device_state = -1;         // among the states, of the segments' kernels
  const void* device = nullptr;  // see DeviceBuffer::device()
  size_t device_bytes = 0;       // of tables on the device that belong to this plan
  std::vector<Tensor> constants;
  // Values known at planning time that a later plan or the caller reads.
  std::vector<std::pair<ValueId, Tensor>> known;
  // Bytes that the instance itself holds, those on a device included, for the cache's bound.
  size_t footprint() const;
};

class DeviceProvider;

// What a plan is made from, beside the program.
struct PlanInput {
  ValueId id = kNoValue;
  bool is_tensor = false;
  DataType type = DataType::Undefined;
  Shape shape;
  const Tensor* value = nullptr;  // where the program needs its contents
};

struct PlanServices {
  const EngineOptions& options;
  PackStore& packs;
  std::function<std::shared_ptr<Body>(const std::shared_ptr<Graph>&)> compile_body;
  bool keep_types = false;                 // for profiles
  const DeviceProvider* device = nullptr;  // runs what it can; nullptr for the CPU alone
  KernelChoice choice = {};
  // A subgraph, which runs on the device where all of its nodes can, or where they do enough to pay for the ways there
  // and back in each turn. Its large results stay there then.
  bool is_body = false;
  // Why the device is not asked, for `explain()`: of some nodes, and of the others.
  std::map<int, std::string> off_device_nodes = {};
  std::string off_device = {};
};

struct Draft;

// Makes the plans that start at one node of a program. What it found out for a plan serves the next one: nodes whose
// inputs are as they were are not looked at again, and keep their kernels. Used by one thread at a time.
class Planner {
 public:
  Planner(const Program& program, int begin);
  ~Planner();
  // Plans the nodes as far as shapes are known; at least one node, or Error.
  std::shared_ptr<const Instance> plan(std::span<const PlanInput> inputs, const PlanServices& services);

 private:
  const Program& program_;
  int begin_;
  std::unique_ptr<Draft> draft_;  // of the latest plan
};

}  // namespace fastort
