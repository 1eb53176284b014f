#pragma once

#include "ops/gpu/gemm.h"
#include "ops/gpu/parts.h"

// Products of one to four rows, which are as fast as the memory that holds B (shaders/gemm_rows.comp).
namespace fastort::gpu {

struct FewRows {
  const char* shader = nullptr;
  std::vector<uint32_t> constants;  // from number 3 on
  std::array<uint32_t, 3> groups{};
  Parts parts;
};

// The other way round, C^T = B^T A^T, where C has fewer columns than rows.
Gemm fewer_rows_than_columns(const Gemm& gemm);
// Without a shader where the product has more rows, or where the device has no kernel for it.
FewRows few_rows(const Gemm& gemm, const GpuTraits& traits);

}  // namespace fastort::gpu
