#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/parallel.h"
#include "tensor/value.h"

namespace fastort {

// What a kernel keeps per run context, because two runs may be in flight at once (oneDNN's memory objects, say).
class KernelState {
 public:
  virtual ~KernelState() = default;
};

// Access to whole values, for operators that read or make something whose shape is not known to the plan: strings,
// sequences, maps, optionals, and tensors with data-dependent shapes.
class Frame {
 public:
  virtual Value input(int i) = 0;
  virtual void set_output(int i, Value value) = 0;
  // A tensor for output i; the kernel fills it.
  virtual Tensor allocate_output(int i, DataType type, const Shape& shape) = 0;

 protected:
  ~Frame() = default;
};

// What a kernel is handed for one call. Pointers stand in the order of the node's inputs (captures included), then its
// outputs; nullptr for one that is left out or that is no tensor with a planned place (see `frame`).
struct KernelArgs {
  std::byte* const* pointers = nullptr;
  int num_inputs = 0;
  std::byte* workspace = nullptr;  // `Kernel::workspace_bytes()` bytes, 64-byte aligned, not initialised
  KernelState* state = nullptr;
  const Parallel& parallel;
  Frame* frame = nullptr;  // set for kernels of operators flagged kDynamic

  template <class T>
  const T* in(int i) const {
    return reinterpret_cast<const T*>(pointers[i]);
  }
  template <class T>
  T* out(int i) const {
    return reinterpret_cast<T*>(pointers[num_inputs + i]);
  }
};

// A node made ready for concrete shapes: immutable, run from several threads at once.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void run(const KernelArgs& args) const = 0;
  virtual size_t workspace_bytes() const { return 0; }
  virtual std::unique_ptr<KernelState> make_state() const { return nullptr; }
  // Bit i: `run` never looks at input i (a constant that was packed, say). Its pointer is then nullptr.
  virtual uint32_t unread_inputs() const { return 0; }
};

template <class F>
class FunctionKernel final : public Kernel {
 public:
  FunctionKernel(F f, size_t workspace, uint32_t unread) : f_(std::move(f)), workspace_(workspace), unread_(unread) {}
  void run(const KernelArgs& args) const override { f_(args); }
  size_t workspace_bytes() const override { return workspace_; }
  uint32_t unread_inputs() const override { return unread_; }

 private:
  F f_;
  size_t workspace_;
  uint32_t unread_;
};

// The usual way to write `prepare`: `return make_kernel([params](const KernelArgs& args) { ... });`
template <class F>
std::unique_ptr<Kernel> make_kernel(F f, size_t workspace_bytes = 0, uint32_t unread_inputs = 0) {
  return std::make_unique<FunctionKernel<F>>(std::move(f), workspace_bytes, unread_inputs);
}

}  // namespace fastort
