#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// The windows of the output pixels [first, first + count) of all images, from a channels-last source: one row of
// `depth` 16-bit items for each, [tap, channel of the group], `zero` taken off; padding is 0. Up to kGatherSlack items
// behind the last row are written too.
inline constexpr int64_t kGatherSlack = 64;
void gather_rows(const ConvShape& shape, int64_t group, int64_t first, int64_t count, const std::byte* src,
                 bool is_signed, int32_t zero, int64_t depth, int16_t* dst);

}  // namespace fastort::kernels
