#pragma once

#include <vector>

#include "kernels/gemm/igemm.h"
#include "ops/matmul/matmul.h"
#include "ops/quantized/params.h"

namespace fastort::quantized {

// Batches of products of bytes on the packed integer kernel. A has one zero point, B one or one for each column.
class Product {
 public:
  // Positions of the inputs; -1 or left out: none.
  struct Inputs {
    int a = -1, b = -1, b_zero = -1;
  };

  // `a_signed` and `b_signed` as their bytes are read; throws InvalidGraph where the zero points of B do not fit.
  Product(const OpContext& context, matmul::Problem problem, const Inputs& inputs, bool a_signed, bool b_signed);

  const matmul::Problem& problem() const { return problem_; }
  int64_t padded_columns() const { return columns_; }
  size_t workspace_bytes() const;
  // For Kernel::unread_inputs.
  uint32_t unread_inputs() const { return packed_ ? 1u << inputs_.b : 0; }
  // `a` are the bytes of A; `dst` the rows of all items one after the other, of the epilogue's type.
  void run(const KernelArgs& args, const std::byte* a, int32_t a_zero, const kernels::IgemmEpilogue& epilogue,
           std::byte* dst, std::byte* workspace) const;

 private:
  void pack_all(const std::byte* b, const std::byte* zeros, std::byte* dst) const;
  void run_item(const KernelArgs& args, const std::byte* a, int32_t a_zero, const std::byte* b,
                const kernels::IgemmEpilogue& epilogue, std::byte* dst, std::byte* rows) const;
  void order_rows(const std::byte* a, int64_t first, int64_t count, int32_t zero, std::byte* dst) const;
  std::vector<int32_t> column_zeros(const std::byte* zeros) const;
  kernels::IgemmSource source(const std::byte* b, const std::vector<int32_t>& zeros) const;
  size_t rows_bytes() const;  // of one thread

  matmul::Problem problem_;
  Inputs inputs_;
  bool a_signed_, b_signed_;
  int64_t b_zeros_ = 0;
  std::vector<int64_t> distinct_;  // offsets of the matrices of B
  std::vector<size_t> matrix_;     // of each item of the batch
  std::shared_ptr<Buffer> packed_;
  int threads_;
  kernels::IgemmWeights weights_;  // of each matrix of B
  bool in_place_ = false;          // rows of A are read where they lie
  int64_t columns_ = 0, row_block_ = 1, col_block_ = 1;
};

// Whether zero points or scales of B are one, or one for each column.
Refusal refuse_columns(const OpContext& context, int input, int64_t columns, const char* what);

}  // namespace fastort::quantized
