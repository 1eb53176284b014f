#pragma once

#include <span>
#include <utility>
#include <vector>

#include "ops/kernel.h"

namespace fastort {

// A kernel that only puts parts side by side or takes them apart, where each part is one contiguous piece of the whole
// (output 0 of a join, input 0 of a split; the parts are the first inputs, or the outputs). The plan may have a part
// made, or read, where it lies in the whole; `run` leaves out what is there already, and where that is everything,
// there is no step.
class PartsKernel : public Kernel {
 public:
  enum class Kind : uint8_t { Join, Split };
  // `offsets`: bytes from the start of the whole to each part.
  PartsKernel(Kind kind, std::vector<int64_t> offsets) : kind_(kind), offsets_(std::move(offsets)) {}
  Kind kind() const { return kind_; }
  std::span<const int64_t> offsets() const { return offsets_; }

 private:
  Kind kind_;
  std::vector<int64_t> offsets_;
};

template <class F>
class FunctionPartsKernel final : public PartsKernel {
 public:
  FunctionPartsKernel(Kind kind, std::vector<int64_t> offsets, F f)
      : PartsKernel(kind, std::move(offsets)), f_(std::move(f)) {}
  void run(const KernelArgs& args) const override { f_(args); }

 private:
  F f_;
};

template <class F>
std::unique_ptr<Kernel> make_parts_kernel(PartsKernel::Kind kind, std::vector<int64_t> offsets, F f) {
  return std::make_unique<FunctionPartsKernel<F>>(kind, std::move(offsets), std::move(f));
}

}  // namespace fastort
