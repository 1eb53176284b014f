#pragma once

#include <vector>

#include "kernels/elementwise/convert.h"
#include "ops/op.h"

namespace fastort {

// The arguments of a kernel that computes in one type: inputs of other real types are converted into the workspace,
// outputs are converted from there.
class WideArguments {
 public:
  // `compute` is Float or Double. Values that are no real numbers are left alone.
  WideArguments(const OpContext& context, DataType compute);
  // Double where the first input is double, else float.
  static DataType compute_type(const OpContext& context);

  // Workspace that is taken; a kernel's own begins there (64-byte aligned).
  size_t bytes() const { return bytes_; }
  template <class C>
  const C* in(const KernelArgs& args, int i) const {
    return reinterpret_cast<const C*>(read(args, static_cast<size_t>(i)));
  }
  template <class C>
  C* out(const KernelArgs& args, int i) const {
    return reinterpret_cast<C*>(place(args, static_cast<size_t>(i)));
  }
  // Writes the outputs of other types.
  void finish(const KernelArgs& args) const;

 private:
  struct Converted {
    std::optional<kernels::Convert> convert;
    size_t offset = 0;
    int64_t count = 0;
    int64_t from = 0, to = 0;  // bytes of an element
  };
  const std::byte* read(const KernelArgs& args, size_t i) const;
  std::byte* place(const KernelArgs& args, size_t i) const;

  std::vector<Converted> inputs_, outputs_;
  size_t bytes_ = 0;
};

}  // namespace fastort
