#pragma once

#include "base/fn_ref.h"
#include "base/parallel.h"
#include "kernels/conv/conv_shape.h"

namespace fastort::kernels {

// The zero points of an integer convolution: one for the input, and one for all output channels or one for each.
template <class W>
struct ConvZeroPoints {
  int32_t src = 0;
  const W* weights = nullptr;  // nullptr: zero
  bool per_channel = false;
};

// The convolution of 8-bit integers, exact in 32 bits. `store(channel, at, sums, count)` receives the sums of the
// outputs [at, at + count), positions in the whole row-major output, on any thread.
template <class T, class W>
void conv_integer(const ConvShape& shape, const T* src, const W* weights, const ConvZeroPoints<W>& zero,
                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)> store, const Parallel& parallel);

extern template void conv_integer(const ConvShape&, const uint8_t*, const uint8_t*, const ConvZeroPoints<uint8_t>&,
                                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);
extern template void conv_integer(const ConvShape&, const uint8_t*, const int8_t*, const ConvZeroPoints<int8_t>&,
                                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);
extern template void conv_integer(const ConvShape&, const int8_t*, const uint8_t*, const ConvZeroPoints<uint8_t>&,
                                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);
extern template void conv_integer(const ConvShape&, const int8_t*, const int8_t*, const ConvZeroPoints<int8_t>&,
                                  FnRef<void(int64_t, int64_t, const int32_t*, int64_t)>, const Parallel&);

}  // namespace fastort::kernels
