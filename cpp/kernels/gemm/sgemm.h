#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/fn_ref.h"
#include "base/parallel.h"
#include "kernels/gemm/amx.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/gemm/strassen.h"

namespace fastort::kernels {

// The single-precision product C = epilogue(alpha * A * B) for fixed sizes, once or for each item of a batch.
// A is [m, k], B is [k, n], C is [m, n]; a transposed operand lies in memory as [k, m] or [n, k]. The strides are
// between the rows in memory; the elements of a row are adjacent.
struct SgemmSizes {
  int64_t m = 0, n = 0, k = 0;
  int64_t batch = 1;
  bool trans_a = false, trans_b = false;
  int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  bool b_packed = false;  // B comes from pack_b; b_stride and trans_b mean nothing
  float alpha = 1;
  // How a single product is computed. Strassen's form asks for a packed B and Strassen::gains, AMX for
  // AmxGemm::available; both for the number of threads that may serve them.
  enum class Form { Plain, Strassen, Amx } form = Form::Plain;
  int threads = 1;
};

// The memory of one batch item.
struct SgemmItem {
  const float* a = nullptr;
  const float* b = nullptr;
  float* c = nullptr;
  const float* residual = nullptr;  // where the epilogue has none
  const float* measured = nullptr;  // what measure_b says of B, for Strassen's form
};

// Results do not depend on the number of threads.
class Sgemm {
 public:
  Sgemm() = default;
  explicit Sgemm(const SgemmSizes& sizes);

  size_t workspace_bytes() const noexcept;
  void run(const SgemmItem& item, const Epilogue& epilogue, std::byte* workspace, const Parallel& parallel) const;
  // With batch > 1: `item(i)` names the memory of item i; the epilogue is the same for all but the residual.
  void run_batch(FnRef<SgemmItem(int64_t)> item, const Epilogue& epilogue, std::byte* workspace,
                 const Parallel& parallel) const;

  const SgemmSizes& sizes() const noexcept { return sizes_; }

 private:
  // Panels [begin, end), counted through all row blocks of all items.
  struct Piece {
    int64_t begin, end;
  };
  struct Operands;
  // A single product by its form; false where that leaves it to the plain one.
  bool run_form(const Operands& operands, std::byte* workspace, const Parallel& parallel) const;
  void run_piece(const Operands& operands, Piece piece, Piece next) const;
  void run_part(const SgemmItem& item, const Epilogue& epilogue, int64_t row_begin, int64_t row_end, int64_t first,
                int64_t last, const float* next_b) const;

  SgemmSizes sizes_;
  bool copy_a_ = false, copy_b_ = false;
  int64_t panel_ = 1, panels_ = 0, row_step_ = 1, row_parts_ = 1;
  std::shared_ptr<const Strassen> strassen_;
  std::shared_ptr<const AmxGemm> amx_;
};

// Memory for B [k, n] in panels, and the packing itself. Element (i, j) of B is b[i * row_stride + j * col_stride]; one
// of the strides is 1.
size_t packed_b_bytes(int64_t k, int64_t n);
void pack_b(const float* b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n, float* dst);
// Columns that lie together: those of B from a multiple of it on can be packed by themselves, to dst + column * k.
int64_t packed_b_panel();
// Names the format for PackStore.
const char* packed_b_format(bool transposed);

}  // namespace fastort::kernels
