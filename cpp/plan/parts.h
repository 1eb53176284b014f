#pragma once

#include <vector>

#include "ops/parts.h"
#include "plan/planning.h"

namespace fastort {

// The joins of a plan whose parts are made where they lie in the output.
class PartHomes {
 public:
  // The kernels are prepared.
  explicit PartHomes(const Draft& draft);

  struct Home {
    int join = -1;       // index into Draft::planned; -1: the value has memory of its own
    int64_t offset = 0;  // bytes in the join's output
  };
  const Home& of(ValueId root) const { return homes_[at(root)]; }

 private:
  std::vector<Home> homes_;  // by root
};

// The rule of a kernel that joins or splits, or nullptr.
const PartsKernel* parts_kernel(const Kernel* kernel);

}  // namespace fastort
