#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fn_ref.h"
#include "base/parallel.h"
#include "kernels/gemm/operands.h"

namespace fastort::kernels {

// C = epilogue(alpha * A * B) with seven products of half the size in place of eight (Strassen, "Gaussian elimination
// is not optimal", Numerische Mathematik 13, 1969), once. A, B and C fall into quarters; sums of A's are made
// beforehand, sums of B's while they are multiplied, and C's are gathered in the caches.
//
// Every element of C passes through sums with three others, whose rounding errors it takes over. So it serves where the
// factors' parts are of one size: rows of A that are added to each other, panels of B, and, for the columns of A and
// the rows of B, their products.
class Strassen {
 public:
  // For at most so many threads.
  Strassen(int64_t m, int64_t n, int64_t k, int threads);
  // Whether a product of this size gains by it.
  static bool gains(int64_t m, int64_t n, int64_t k);
  // Into how many rows a product is cut that has more: the sums of A take memory.
  static int64_t rows_at_once(int64_t m);

  size_t workspace_bytes() const noexcept;
  // The panels of B, of even number, that it multiplies; the rest is the caller's.
  int64_t panels() const noexcept { return 2 * pairs_; }

  // `measured`: what measure_b says of B. Calls rest(i) for i in [0, parts) among its own work; or returns false at
  // once where the operands do not suit.
  bool run(const GemmOperands& operands, const float* measured, std::byte* workspace, const Parallel& parallel,
           int64_t parts, FnRef<void(int64_t)> rest) const;

 private:
  bool suits(const GemmOperands& operands, const float* measured, float* profile) const;
  void run_block(const GemmOperands& operands, const struct StrassenLeft& left, int64_t block, int64_t next,
                 std::byte* scratch) const;

  int64_t m_ = 0, k_ = 0, panel_ = 1, pairs_ = 0, half_rows_ = 0, row_step_ = 1, row_parts_ = 1;
  int threads_ = 1;
};

// What Strassen's form has to know of B [k, n], as pack_b has packed it: how its squares spread over its rows, and
// whether its panels are of one size.
size_t measured_b_bytes(int64_t k);
void measure_b(const float* packed, int64_t k, int64_t n, float* measured, const Parallel& parallel);

}  // namespace fastort::kernels
