#include "kernels/short_rows.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/short_rows.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
//
#include "kernels/elementwise/exp-pair-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

// `x` has kLanes rows; `softmax` receives theirs where it is asked for. Places are kLanes numbers.
HWY_INLINE void side_by_side(const float* x, int64_t width, float* softmax, int32_t* places) {
  const D d;
  const DI di;
  const auto rows = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(width)));
  V columns[kMostShortRow + 1];
  V most = columns[0] = hn::GatherIndex(d, x, rows);
  auto place = hn::Zero(di);
  for (int64_t c = 1; c < width; ++c) {
    columns[c] = hn::GatherIndex(d, x + c, rows);
    const auto larger = hn::Gt(columns[c], most);
    most = hn::IfThenElse(larger, columns[c], most);
    place = hn::IfThenElse(hn::RebindMask(di, larger), hn::Set(di, static_cast<int32_t>(c)), place);
  }
  if (places) hn::StoreU(place, di, places);
  if (!softmax) return;
  V sum = hn::Zero(d);
  columns[width] = most;
  for (int64_t c = 0; c < width; c += 2) {
    V e[2] = {hn::Sub(columns[c], most), hn::Sub(columns[c + 1], most)};
    ExpsOfNegative(d, e);
    columns[c] = e[0];
    columns[c + 1] = e[1];
    sum = hn::Add(sum, e[0]);
    if (c + 1 < width) sum = hn::Add(sum, e[1]);
  }
  const V factor = hn::Div(hn::Set(d, 1.0f), sum);
  HWY_ALIGN float column[kLanes];
  for (int64_t c = 0; c < width; ++c) {
    hn::Store(hn::Mul(columns[c], factor), d, column);
    for (int i = 0; i < kLanes; ++i) softmax[i * width + c] = column[i];
  }
}

void ShortRows(const float* x, int64_t rows, int64_t width, float* softmax, int32_t* places) {
  int64_t row = 0;
  for (; row + kLanes <= rows; row += kLanes)
    side_by_side(x + row * width, width, softmax ? softmax + row * width : nullptr, places ? places + row : nullptr);
  if (row == rows) return;
  float rest[kLanes * kMostShortRow] = {};
  int32_t rest_places[kLanes];
  const auto left = static_cast<size_t>(rows - row), bytes = left * static_cast<size_t>(width) * sizeof(float);
  std::memcpy(rest, x + row * width, bytes);
  side_by_side(rest, width, softmax ? rest : nullptr, rest_places);
  if (softmax) std::memcpy(softmax + row * width, rest, bytes);
  if (places) std::memcpy(places + row, rest_places, left * sizeof(int32_t));
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(ShortRows);

void argmax_short_rows(const float* x, int64_t rows, int64_t width, int32_t* places) {
  HWY_DYNAMIC_DISPATCH(ShortRows)(x, rows, width, nullptr, places);
}

void softmax_short_rows(float* x, int64_t rows, int64_t width, int32_t* places) {
  HWY_DYNAMIC_DISPATCH(ShortRows)(x, rows, width, x, places);
}

}  // namespace fastort::kernels
#endif
