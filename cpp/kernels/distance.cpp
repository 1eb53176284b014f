#include "kernels/distance.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/distance.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

struct AddSquare {
  template <class V>
  HWY_INLINE V operator()(V sum, V difference) const {
    return hn::MulAdd(difference, difference, sum);
  }
};
struct AddAbsolute {
  template <class V>
  HWY_INLINE V operator()(V sum, V difference) const {
    return hn::Add(sum, hn::Abs(difference));
  }
};
// NaN stays.
struct MaxAbsolute {
  template <class V>
  HWY_INLINE V operator()(V most, V difference) const {
    const V x = hn::Abs(difference);
    return hn::IfThenElse(hn::Or(hn::IsNaN(most), hn::Le(x, most)), most, x);
  }
};

// Distances of one row from `kVectors` vectors of columns; the last vector has `left` columns.
template <int kVectors, class Add, class T>
HWY_INLINE void Columns(const T* row, const T* b, T* dst, int64_t points, int64_t features, bool root, size_t left) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  using V = hn::Vec<hn::ScalableTag<T>>;
  const Add add;
  V s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t k = 0; k < features; ++k, b += points) {
    const V x = hn::Set(d, row[k]);
    if constexpr (kVectors == 4) {
      s0 = add(s0, hn::Sub(x, hn::LoadU(d, b)));
      s1 = add(s1, hn::Sub(x, hn::LoadU(d, b + lanes)));
      s2 = add(s2, hn::Sub(x, hn::LoadU(d, b + 2 * lanes)));
      s3 = add(s3, hn::Sub(x, hn::LoadU(d, b + 3 * lanes)));
    } else {
      s0 = add(s0, hn::Sub(x, hn::LoadN(d, b, left)));
    }
  }
  if (root) {
    s0 = hn::Sqrt(s0);
    s1 = hn::Sqrt(s1);
    s2 = hn::Sqrt(s2);
    s3 = hn::Sqrt(s3);
  }
  if constexpr (kVectors == 4) {
    hn::StoreU(s0, d, dst);
    hn::StoreU(s1, d, dst + lanes);
    hn::StoreU(s2, d, dst + 2 * lanes);
    hn::StoreU(s3, d, dst + 3 * lanes);
  } else {
    hn::StoreN(s0, d, dst, left);
  }
}

template <class Add, class T>
HWY_INLINE void Row(const T* row, const T* b, T* dst, int64_t points, int64_t features, bool root) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  int64_t j = 0;
  for (; j + 4 * lanes <= points; j += 4 * lanes)
    Columns<4, Add>(row, b + j, dst + j, points, features, root, static_cast<size_t>(lanes));
  for (; j < points; j += lanes)
    Columns<1, Add>(row, b + j, dst + j, points, features, root, static_cast<size_t>(std::min(lanes, points - j)));
}

template <class T>
HWY_INLINE void DistanceRow(Distance distance, const T* row, const T* b, T* dst, int64_t points, int64_t features) {
  switch (distance) {
    case Distance::SquaredEuclidean:
      return Row<AddSquare>(row, b, dst, points, features, false);
    case Distance::Euclidean:
      return Row<AddSquare>(row, b, dst, points, features, true);
    case Distance::CityBlock:
      return Row<AddAbsolute>(row, b, dst, points, features, false);
    case Distance::Chebyshev:
      return Row<MaxAbsolute>(row, b, dst, points, features, false);
  }
}

void DistanceRowF32(Distance distance, const float* row, const float* b, float* dst, int64_t points, int64_t features) {
  DistanceRow(distance, row, b, dst, points, features);
}
void DistanceRowF64(Distance distance, const double* row, const double* b, double* dst, int64_t points,
                    int64_t features) {
  DistanceRow(distance, row, b, dst, points, features);
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(DistanceRowF32);
HWY_EXPORT(DistanceRowF64);

template <class T>
void distances(Distance distance, const T* a, const T* b, T* dst, int64_t rows, int64_t points, int64_t features,
               const Parallel& parallel) {
  const int64_t grain = std::max<int64_t>(1, (16 << 10) / std::max<int64_t>(1, points * features));
  parallel.range(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<T, float>)
        HWY_DYNAMIC_DISPATCH(DistanceRowF32)(distance, a + i * features, b, dst + i * points, points, features);
      else
        HWY_DYNAMIC_DISPATCH(DistanceRowF64)(distance, a + i * features, b, dst + i * points, points, features);
    }
  });
}

template void distances(Distance, const float*, const float*, float*, int64_t, int64_t, int64_t, const Parallel&);
template void distances(Distance, const double*, const double*, double*, int64_t, int64_t, int64_t, const Parallel&);

}  // namespace fastort::kernels
#endif
