#pragma once

#include <cstdint>

namespace fastort::kernels {

// dst[3 * i + c] = src[c * plane + i] for i < n: a picture's colours side by side.
void interleave_colours(const uint8_t* src, int64_t plane, uint8_t* dst, int64_t n);

}  // namespace fastort::kernels
