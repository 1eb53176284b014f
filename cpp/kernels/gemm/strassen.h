#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/fn_ref.h"
#include "base/parallel.h"
#include "kernels/gemm/epilogue.h"

namespace fastort::kernels {

// C = epilogue(alpha * A * B) with seven products of half the size in place of eight (Strassen, "Gaussian elimination
// is not optimal", Numerische Mathematik 13, 1969), once. A, B and C fall into quarters; sums of A's are made
// beforehand, sums of B's while they are multiplied, and C's are gathered in the caches.
//
// Every element of C passes through sums with others, so that its rounding error is relative to those. A row of a panel
// of C that is small beside what its own and the other halves' factors are like (1/32 of what numbers without any
// relation would give) could lose what a plain product keeps: run() then reports that C is not to be used.
class Strassen {
 public:
  // Serves at most so many threads. `patient`: never gives up.
  Strassen(int64_t m, int64_t n, int64_t k, int threads, bool patient);
  // Whether a product of this size gains by it.
  static bool gains(int64_t m, int64_t n, int64_t k);

  size_t workspace_bytes() const noexcept;
  // The panels of B, of even number, that it multiplies; the rest is the caller's.
  int64_t panels() const noexcept { return 2 * pairs_; }
  // Whether products failed, one after the other, so that another attempt is probably a waste.
  bool hopeless() const noexcept { return failures_.load(std::memory_order_relaxed) >= kMostFailures; }

  struct Operands {
    const float* a = nullptr;
    int64_t a_stride = 0;
    const float* b = nullptr;      // in panels
    const float* norms = nullptr;  // the sum of the squares of each panel
    float* c = nullptr;
    int64_t c_stride = 0;
    float alpha = 1;
    Epilogue epilogue;
  };
  // Calls rest(i) for i in [0, parts) among its own work. Returns false where C has to be computed in another way.
  bool run(const Operands& operands, std::byte* workspace, const Parallel& parallel, int64_t parts,
           FnRef<void(int64_t)> rest) const;

 private:
  static constexpr int kMostFailures = 2;

  bool run_block(const Operands& operands, const struct StrassenLeft& left, int64_t block, int64_t next,
                 std::byte* scratch) const;

  int64_t m_ = 0, k_ = 0, panel_ = 1, pairs_ = 0, half_rows_ = 0, row_step_ = 1, row_parts_ = 1;
  int threads_ = 1;
  bool patient_ = false;
  mutable std::atomic<int> failures_{0};
};

}  // namespace fastort::kernels
