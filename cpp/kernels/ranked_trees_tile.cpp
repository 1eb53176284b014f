#include "kernels/ranked_trees_tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ranked_trees_tile.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

const int8_t* ChooseLeaves(const RankedOp* HWY_RESTRICT ops, int64_t count, const int8_t* ranks, int8_t* chosen,
                           int64_t leaves) {
  const hn::CappedTag<int8_t, kRankedTile> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int8_t* dst = chosen + leaves * kRankedTile;
  if (count == 0) return chosen;
  for (const RankedOp* end = ops + count; ops != end; ++ops, dst += kRankedTile) {
    const int8_t* x = ranks + ops->column * kRankedUnit;
    const int8_t* yes = chosen + ops->yes * kRankedUnit;
    const int8_t* no = chosen + ops->no * kRankedUnit;
    const auto limit = hn::Set(d, ops->limit);
    for (int64_t v = 0; v < kRankedTile; v += lanes) {
      const auto below = hn::Lt(hn::LoadU(d, x + v), limit);
      hn::StoreU(hn::IfThenElse(below, hn::LoadU(d, yes + v), hn::LoadU(d, no + v)), d, dst + v);
    }
  }
  return dst - kRankedTile;
}

void AddLeafValues(const float* HWY_RESTRICT values, int64_t count, const int8_t* HWY_RESTRICT leaves,
                   float* HWY_RESTRICT sums) {
  const hn::CappedTag<float, kRankedPadding> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto* places = reinterpret_cast<const uint8_t*>(leaves);
  if (count > 8 * lanes) {
    for (int64_t r = 0; r < kRankedTile; ++r) sums[r] += values[places[r]];
    return;
  }
  const auto within = hn::Set(di, static_cast<int32_t>(lanes - 1));
  for (int64_t r = 0; r < kRankedTile; r += lanes) {
    const auto place = hn::PromoteTo(di, hn::LoadU(d8, places + r));
    const auto lane = hn::IndicesFromVec(d, hn::And(place, within));
    auto value = hn::TableLookupLanes(hn::LoadU(d, values), lane);
    for (int64_t first = lanes; first < count; first += lanes) {
      const auto before = hn::RebindMask(d, hn::Lt(place, hn::Set(di, static_cast<int32_t>(first))));
      value = hn::IfThenElse(before, value, hn::TableLookupLanes(hn::LoadU(d, values + first), lane));
    }
    hn::StoreU(hn::Add(hn::LoadU(d, sums + r), value), d, sums + r);
  }
}

template <class T>
HWY_INLINE void FindRanks(const RankLevels<T>& thresholds, const T* src, int64_t count, int64_t stride,
                          uint32_t* HWY_RESTRICT ranks) {
  const hn::CappedTag<T, kRankedBlock> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < count; ++i) {
    const auto x = hn::Set(d, src[i * stride]);
    uint32_t rank = 0;
    for (int level = 0; level < thresholds.depth; ++level) {
      const uint32_t block = HWY_MIN(rank, thresholds.last_blocks[level]);
      const T* at = thresholds.levels[level] + block * kRankedBlock;
      size_t reached = 0;
      for (int64_t v = 0; v < kRankedBlock; v += lanes) reached += hn::CountTrue(d, hn::Le(x, hn::LoadU(d, at + v)));
      rank = (block + 1) * static_cast<uint32_t>(kRankedBlock) - static_cast<uint32_t>(reached);
    }
    ranks[i] = HWY_MIN(rank, thresholds.count);
  }
}

void FindRanksF32(const RankLevels<float>& thresholds, const float* src, int64_t count, int64_t stride,
                  uint32_t* ranks) {
  FindRanks(thresholds, src, count, stride, ranks);
}

void FindRanksF64(const RankLevels<double>& thresholds, const double* src, int64_t count, int64_t stride,
                  uint32_t* ranks) {
  FindRanks(thresholds, src, count, stride, ranks);
}

void Intersect(const uint32_t* const* sets, int64_t count, int64_t words, uint32_t* dst) {
  const hn::CappedTag<uint32_t, kRankedPadding / 2> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t w = 0; w < words; w += 2 * lanes) {
    auto bits0 = hn::Set(d, ~uint32_t{0}), bits1 = bits0;
    for (int64_t s = 0; s < count; ++s) {
      bits0 = hn::And(bits0, hn::LoadU(d, sets[s] + w));
      bits1 = hn::And(bits1, hn::LoadU(d, sets[s] + w + lanes));
    }
    hn::StoreU(bits0, d, dst + w);
    hn::StoreU(bits1, d, dst + w + lanes);
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(AddLeafValues);
HWY_EXPORT(ChooseLeaves);
HWY_EXPORT(FindRanksF32);
HWY_EXPORT(FindRanksF64);
HWY_EXPORT(Intersect);

const int8_t* choose_leaves(const RankedOp* ops, int64_t count, const int8_t* ranks, int8_t* chosen, int64_t leaves) {
  return HWY_DYNAMIC_DISPATCH(ChooseLeaves)(ops, count, ranks, chosen, leaves);
}

void add_leaf_values(const float* values, int64_t count, const int8_t* leaves, float* sums) {
  HWY_DYNAMIC_DISPATCH(AddLeafValues)(values, count, leaves, sums);
}

void add_leaf_values(const double* values, int64_t /*count*/, const int8_t* leaves, double* sums) {
  for (int64_t r = 0; r < kRankedTile; ++r) sums[r] += values[static_cast<uint8_t>(leaves[r])];
}

void find_ranks(const RankLevels<float>& thresholds, const float* src, int64_t count, int64_t stride, uint32_t* ranks) {
  HWY_DYNAMIC_DISPATCH(FindRanksF32)(thresholds, src, count, stride, ranks);
}

void find_ranks(const RankLevels<double>& thresholds, const double* src, int64_t count, int64_t stride,
                uint32_t* ranks) {
  HWY_DYNAMIC_DISPATCH(FindRanksF64)(thresholds, src, count, stride, ranks);
}

void intersect(const uint32_t* const* sets, int64_t count, int64_t words, uint32_t* dst) {
  HWY_DYNAMIC_DISPATCH(Intersect)(sets, count, words, dst);
}

}  // namespace fastort::kernels
#endif
