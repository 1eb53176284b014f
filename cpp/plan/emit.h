#pragma once

#include "plan/emit_device.h"
#include "plan/parts.h"

namespace fastort {

// A candidate's kernel for concrete inputs and outputs; errors name the node.
std::unique_ptr<Kernel> prepare(const Draft& draft, const Candidate& candidate, const Node& node,
                                std::span<const TensorDesc> inputs, std::span<const TensorDesc> outputs);

// Writes the steps of a plan whose kernels are prepared.
class Emitter {
 public:
  explicit Emitter(Draft& draft);
  void run();

 private:
  void emit_compute(PlannedNode& planned);
  void reorder_into_join(const PlannedNode& planned, const Kernel& kernel, size_t i);
  bool drop_parts(const PlannedNode& planned, const Kernel& kernel, std::span<const int> input_storages);
  bool join_in_place(const PlannedNode& planned, const PartsKernel& kernel, std::span<const int> input_storages);
  bool split_in_place(const PlannedNode& planned, const PartsKernel& kernel, int whole);
  int whole_of(int join);
  int add_part(ValueId id, int whole, int64_t offset, size_t bytes);
  bool others_done(int storage, ValueId root);
  int output_storage(const PlannedNode& planned, size_t i, std::span<const int> input_storages);
  void emit_dynamic(int index);
  void prepare_dynamic(int index, DynamicNode& dynamic) const;
  void emit_leaving();

  Draft& draft_;
  StepList steps_;
  DeviceEmitter device_;
  PartHomes homes_;
  std::vector<int> wholes_;                               // of planned joins -> the storage of their output, or -1
  std::unordered_map<int, std::vector<ValueId>> shared_;  // storage -> the roots whose memory is a part of it
};

}  // namespace fastort
