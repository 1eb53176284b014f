#include "kernels/attention/decode_rows.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/decode_rows.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// The loops over queries and vectors are unrolled by name, so that their arrays are registers.

// Rows of which all queries are served while they are in the first cache.
constexpr int64_t kBlock = 32;

HWY_INLINE V Load(const float* src) { return hn::LoadU(D(), src); }
HWY_INLINE V Load(const Float16* src) {
  const hn::Rebind<uint16_t, D> du;
  const hn::Rebind<hwy::float16_t, D> dh;
  return hn::PromoteTo(D(), hn::BitCast(dh, hn::LoadU(du, reinterpret_cast<const uint16_t*>(src))));
}
HWY_INLINE V Load(const BFloat16* src) {
  const hn::Rebind<uint16_t, D> du;
  const hn::RebindToUnsigned<D> dw;
  const auto bits = hn::LoadU(du, reinterpret_cast<const uint16_t*>(src));
  return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(dw, bits)));
}

// The first `n` lanes; the others are zero.
HWY_INLINE V LoadFirst(const float* src, size_t n) { return hn::LoadN(D(), src, n); }
template <class E>
HWY_INLINE V LoadFirst(const E* src, size_t n) {
  HWY_ALIGN E padded[hn::MaxLanes(D())] = {};
  std::copy(src, src + n, padded);
  return Load(padded);
}

// Sums of the lanes of four vectors.
HWY_INLINE void StoreSums(V a, V b, V c, V e, float* dst) {
  const D d;
#if HWY_TARGET == HWY_SCALAR
  dst[0] = hn::GetLane(a);
  dst[1] = hn::GetLane(b);
  dst[2] = hn::GetLane(c);
  dst[3] = hn::GetLane(e);
#else
  const hn::RepartitionToWide<hn::RebindToUnsigned<D> > pairs;
  const auto two = [&](V x, V y) HWY_ATTR {
    return hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, x, y), hn::InterleaveUpper(d, x, y)));
  };
  const auto left = two(a, b), right = two(c, e);
  const V sums = hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, left, right)),
                         hn::BitCast(d, hn::InterleaveUpper(pairs, left, right)));
  HWY_ALIGN float blocks[hn::MaxLanes(D())];
  hn::Store(sums, d, blocks);
  for (size_t i = 0; i < 4; ++i) {
    float sum = 0;
    for (size_t j = i; j < hn::Lanes(d); j += 4) sum += blocks[j];
    dst[i] = sum;
  }
#endif
}

// Four rows with kQueries queries.
template <int kQueries, class E>
HWY_INLINE void Dot4(const float* q, const E* row, int64_t stride, int64_t size, float* scores, int64_t score_stride) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sums[kQueries][4];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int k = 0; k < 4; ++k) sums[i][k] = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes <= size; j += lanes) {
    const V k0 = Load(row + j), k1 = Load(row + stride + j);
    const V k2 = Load(row + 2 * stride + j), k3 = Load(row + 3 * stride + j);
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
      const V x = hn::LoadU(d, q + i * size + j);
      sums[i][0] = hn::MulAdd(x, k0, sums[i][0]);
      sums[i][1] = hn::MulAdd(x, k1, sums[i][1]);
      sums[i][2] = hn::MulAdd(x, k2, sums[i][2]);
      sums[i][3] = hn::MulAdd(x, k3, sums[i][3]);
    }
  }
  if (j < size) {
    const size_t left = static_cast<size_t>(size - j);
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
      const V x = hn::LoadN(d, q + i * size + j, left);
#pragma GCC unroll 8
      for (int k = 0; k < 4; ++k) sums[i][k] = hn::MulAdd(x, LoadFirst(row + k * stride + j, left), sums[i][k]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
    StoreSums(sums[i][0], sums[i][1], sums[i][2], sums[i][3], scores + i * score_stride);
}

template <class E>
HWY_INLINE float Dot1(const float* q, const E* row, int64_t size) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sum = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes <= size; j += lanes) sum = hn::MulAdd(hn::LoadU(d, q + j), Load(row + j), sum);
  if (j < size) {
    const size_t left = static_cast<size_t>(size - j);
    sum = hn::MulAdd(hn::LoadN(d, q + j, left), LoadFirst(row + j, left), sum);
  }
  return hn::ReduceSum(d, sum);
}

template <class E>
void Dots(const float* q, int64_t queries, const E* rows, const RowBlock& block, float* scores, int64_t score_stride) {
  const int64_t size = block.size, stride = block.stride;
  for (int64_t first = 0; first < block.count; first += kBlock) {
    const int64_t end = std::min(block.count, first + kBlock);
    int64_t i = 0;
    for (; i + 2 <= queries; i += 2) {
      int64_t k = first;
      for (; k + 4 <= end; k += 4)
        Dot4<2>(q + i * size, rows + k * stride, stride, size, scores + i * score_stride + k, score_stride);
      for (; k < end; ++k) {
        scores[i * score_stride + k] = Dot1(q + i * size, rows + k * stride, size);
        scores[(i + 1) * score_stride + k] = Dot1(q + (i + 1) * size, rows + k * stride, size);
      }
    }
    if (i < queries) {
      int64_t k = first;
      for (; k + 4 <= end; k += 4)
        Dot4<1>(q + i * size, rows + k * stride, stride, size, scores + i * score_stride + k, score_stride);
      for (; k < end; ++k) scores[i * score_stride + k] = Dot1(q + i * size, rows + k * stride, size);
    }
  }
}

// kVectors vectors of the rows [0, count) into the sums of kQueries queries.
template <int kQueries, int kVectors, class E>
HWY_INLINE void Mix(const float* weights, int64_t weight_stride, const E* rows, int64_t stride, int64_t count,
                    float* sums, int64_t size) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V total[kQueries][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      total[i][v] = hn::LoadU(d, sums + i * size + static_cast<int64_t>(static_cast<size_t>(v) * lanes));
  for (int64_t k = 0; k < count; ++k) {
    V w[kQueries];
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) w[i] = hn::Set(d, weights[i * weight_stride + k]);
    const E* const row = rows + k * stride;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const V x = Load(row + static_cast<size_t>(v) * lanes);
#pragma GCC unroll 8
      for (int i = 0; i < kQueries; ++i) total[i][v] = hn::MulAdd(w[i], x, total[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      hn::StoreU(total[i][v], d, sums + i * size + static_cast<int64_t>(static_cast<size_t>(v) * lanes));
}

// The items behind the last whole vector.
template <class E>
HWY_INLINE void MixRest(const float* weights, const E* rows, int64_t stride, int64_t count, float* sums, size_t left) {
  const D d;
  V total = hn::LoadN(d, sums, left);
  for (int64_t k = 0; k < count; ++k)
    total = hn::MulAdd(hn::Set(d, weights[k]), LoadFirst(rows + k * stride, left), total);
  hn::StoreN(total, d, sums, left);
}

template <int kQueries, int kVectors, class E>
HWY_INLINE void MixQueries(const float* weights, int64_t weight_stride, const E* rows, int64_t stride, int64_t count,
                           float* sums, int64_t size) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t j = 0;
  for (; j + kVectors * lanes <= size; j += kVectors * lanes)
    Mix<kQueries, kVectors>(weights, weight_stride, rows + j, stride, count, sums + j, size);
  for (; j + lanes <= size; j += lanes)
    Mix<kQueries, 1>(weights, weight_stride, rows + j, stride, count, sums + j, size);
  if (j == size) return;
  for (int i = 0; i < kQueries; ++i)
    MixRest(weights + i * weight_stride, rows + j, stride, count, sums + i * size + j, static_cast<size_t>(size - j));
}

template <class E>
void Mixes(const float* weights, int64_t weight_stride, int64_t queries, const E* rows, const RowBlock& block,
           float* sums) {
  const int64_t size = block.size;
  for (int64_t first = 0; first < block.count; first += kBlock) {
    const int64_t count = std::min(kBlock, block.count - first);
    const E* const from = rows + first * block.stride;
    int64_t i = 0;
    for (; i + 2 <= queries; i += 2)
      MixQueries<2, 4>(weights + i * weight_stride + first, weight_stride, from, block.stride, count, sums + i * size,
                       size);
    if (i < queries)
      MixQueries<1, 8>(weights + i * weight_stride + first, weight_stride, from, block.stride, count, sums + i * size,
                       size);
  }
}

void DotRows(const float* q, int64_t queries, const RowBlock& rows, float* scores, int64_t score_stride) {
  if (rows.type == DataType::Float)
    Dots(q, queries, static_cast<const float*>(rows.data), rows, scores, score_stride);
  else if (rows.type == DataType::Float16)
    Dots(q, queries, static_cast<const Float16*>(rows.data), rows, scores, score_stride);
  else
    Dots(q, queries, static_cast<const BFloat16*>(rows.data), rows, scores, score_stride);
}

void AddWeightedRows(const float* weights, int64_t weight_stride, int64_t queries, const RowBlock& rows, float* sums) {
  if (rows.type == DataType::Float)
    Mixes(weights, weight_stride, queries, static_cast<const float*>(rows.data), rows, sums);
  else if (rows.type == DataType::Float16)
    Mixes(weights, weight_stride, queries, static_cast<const Float16*>(rows.data), rows, sums);
  else
    Mixes(weights, weight_stride, queries, static_cast<const BFloat16*>(rows.data), rows, sums);
}

}  // namespace
}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(DotRows);
HWY_EXPORT(AddWeightedRows);

void dot_rows(const float* q, int64_t queries, const RowBlock& rows, float* scores, int64_t score_stride) {
  HWY_DYNAMIC_DISPATCH(DotRows)(q, queries, rows, scores, score_stride);
}
void add_weighted_rows(const float* weights, int64_t weight_stride, int64_t queries, const RowBlock& rows,
                       float* sums) {
  HWY_DYNAMIC_DISPATCH(AddWeightedRows)(weights, weight_stride, queries, rows, sums);
}

}  // namespace fastort::kernels
#endif
