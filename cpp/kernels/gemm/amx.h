#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fn_ref.h"
#include "base/parallel.h"
#include "kernels/gemm/operands.h"

namespace fastort::kernels {

// C = epilogue(alpha * A * B) in single precision by Intel's matrix unit (AMX), which multiplies bfloat16 and adds in
// float32. A number is the sum of three parts of 8 significant bits each; of the nine products of such parts the six
// largest are taken (Henry, Tang, Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for
// higher-precision computations", ARITH 2019), so that what is left out is below 2^-24 of each product. The unit takes
// subnormal numbers for zero: parts of a number below 2^-126 are lost.
//
// A is cut into parts beforehand, B while its neighbours are multiplied.
class AmxGemm {
 public:
  // For at most so many threads.
  AmxGemm(int64_t m, int64_t n, int64_t k, int threads);
  // Whether this machine has the unit.
  static bool available();
  // About how long it takes, in nanoseconds.
  double nanoseconds() const noexcept;
  // Into how many rows a product is cut that has more: the parts of A take memory.
  static int64_t rows_at_once(int64_t m, int64_t k);

  size_t workspace_bytes() const noexcept;

  // Some rows, and panels of B.
  struct Area {
    int64_t row_begin, row_end, first, last;
  };
  // Calls `plain` for what it leaves because of its numbers (NaN, infinity, rows and columns near the ends of float32),
  // or returns false at once where that are rows of A.
  bool run(const GemmOperands& operands, std::byte* workspace, const Parallel& parallel,
           FnRef<void(const Area&)> plain) const;

 private:
  int64_t m_ = 0, n_ = 0, k_ = 0, panel_ = 1, panels_ = 0, row_step_ = 1, row_parts_ = 1;
  int threads_ = 1;
  std::vector<int64_t> steps_;
};

}  // namespace fastort::kernels
