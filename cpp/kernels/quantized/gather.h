#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/conv/conv_shape.h"
#include "kernels/gemm/igemm.h"

namespace fastort::kernels {

// The windows of the output pixels [first, first + count) of all images, from a channels-last source, as rows of A for
// products with `weights`: [tap, channel of the group]; padding stands for `zero`. Up to kGatherSlack bytes behind the
// last row are written too.
inline constexpr int64_t kGatherSlack = 128;
void gather_rows(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const std::byte* src,
                 bool is_signed, int32_t zero, const IgemmWeights& weights, std::byte* dst);

}  // namespace fastort::kernels
