#pragma once

#include "kernels/gemm/igemm.h"

// The two forms of igemm.h.
namespace fastort::kernels {

int64_t igemm_pairs_tile_rows();
size_t igemm_pairs_bytes(const IgemmWeights& weights);
void igemm_pairs_pack(const IgemmWeights& weights, const IgemmSource& b, std::byte* dst);
void igemm_pairs_rows(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, int32_t zero,
                      int16_t* dst);
void igemm_pairs_block(const IgemmBlock& block);

int64_t igemm_quads_tile_rows();
int64_t igemm_quads_lanes();
// Whether products of bytes are added in 32 bits at once, so that only numbers beyond a byte are parted.
bool igemm_quads_whole();
// Where the parts of a B in quads lie, in bytes: at first the sums of its columns, for each vector of columns where its
// extra steps begin, for each of these its place along k, then the weights, of four rows together, column by column:
// the panels' steps, and the vectors' extra ones.
struct QuadsLayout {
  static constexpr size_t kAlign = 64;
  explicit QuadsLayout(const IgemmWeights& weights);
  size_t begin, places, steps, extras, end;
};
size_t igemm_quads_bytes(const IgemmWeights& weights);
// IgemmWeights::extras, or some number above `most`.
int64_t igemm_quads_extras(const IgemmSource& b, int64_t k, int64_t n, int64_t most);
void igemm_quads_pack(const IgemmWeights& weights, const IgemmSource& b, std::byte* dst);
void igemm_quads_rows(const void* a, bool is_signed, int64_t stride, int64_t rows, int64_t k, uint8_t* dst);
void igemm_quads_block(const IgemmBlock& block);

}  // namespace fastort::kernels
