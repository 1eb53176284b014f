#pragma once

#include <optional>
#include <vector>

#include "ops/core/evaluate.h"
#include "ops/gpu.h"
#include "plan/instance.h"

// What the planner keeps while it makes a plan (builder.cpp).
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
  int planned = -1;  // index into planned_ for Compute, into device_nodes_ for Device
};

// A node that runs on the device.
struct DeviceNode {
  int node = -1;
  std::vector<TensorDesc> inputs, outputs;
  GpuWork work;
};

// A place for data during the run.
struct Storage {
  Loc loc = Loc::Arena;
  uint32_t base = 0;  // External, Constant
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

constexpr size_t kLayouts = 4;
constexpr int8_t kNotMade = -1;

// What is noted of values, found by their small numbers.
template <class T>
class Notes {
 public:
  Notes(size_t count, T none) : none_(none), items_(count, none) {}
  bool contains(size_t key) const { return items_[key] != none_; }
  T& operator[](size_t key) { return items_[key]; }

 private:
  T none_;
  std::vector<T> items_;
};

}  // namespace fastort
