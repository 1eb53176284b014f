#pragma once

#include "kernels/conv/winograd.h"

namespace fastort::kernels {

// Output channels whose products are computed together.
inline constexpr int64_t kWinogradPanel = 16;

// Transforms tiles [first, first + count) of one block of channels: transformed[point][tile][channel], `point_stride`
// floats from point to point. `transformed` points at the first of these tiles and at the block's first channel.
void winograd_input(const WinogradConv::Sizes& sizes, const float* src, int64_t channel_block, int64_t first,
                    int64_t count, float* transformed, int64_t point_stride);

// Panels that are best multiplied together.
int64_t winograd_group();

// products[panel][point][tile][16] = weights[panel][point][channel][16] * transformed[point][tile][channel], for at
// most winograd_group() panels from `first_panel` on.
void winograd_multiply(const WinogradConv::Sizes& sizes, const float* weights, int64_t first_panel, int64_t panels,
                       const float* transformed, int64_t point_stride, int64_t count, float* products,
                       int64_t product_stride);

// Transforms the products of one panel back and stores them with bias, residual and activation.
void winograd_output(const WinogradConv::Sizes& sizes, const float* products, int64_t product_stride, int64_t panel,
                     int64_t first, int64_t count, const float* bias, const float* residual, float* dst);

}  // namespace fastort::kernels
