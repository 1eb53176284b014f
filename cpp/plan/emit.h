#pragma once

#include "plan/emit_device.h"

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
  int output_storage(const PlannedNode& planned, size_t i, std::span<const int> input_storages);
  void emit_dynamic(int index);
  void emit_leaving();

  Draft& draft_;
  StepList steps_;
  DeviceEmitter device_;
};

}  // namespace fastort
