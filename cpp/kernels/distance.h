#pragma once

#include <cstdint>

#include "base/parallel.h"

namespace fastort::kernels {

enum class Distance : uint8_t { SquaredEuclidean, Euclidean, CityBlock, Chebyshev };

// dst [rows, points]: distances of rows of `a` [rows, features] from the columns of `b` [features, points].
template <class T>
void distances(Distance distance, const T* a, const T* b, T* dst, int64_t rows, int64_t points, int64_t features,
               const Parallel& parallel);

extern template void distances(Distance, const float*, const float*, float*, int64_t, int64_t, int64_t,
                               const Parallel&);
extern template void distances(Distance, const double*, const double*, double*, int64_t, int64_t, int64_t,
                               const Parallel&);

}  // namespace fastort::kernels
