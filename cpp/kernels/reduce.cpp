#include "kernels/reduce.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "kernels/elementwise/math-inl.h"

#ifndef FASTORT_REDUCE_ONCE_
#define FASTORT_REDUCE_ONCE_
namespace fastort::kernels {
// What one pass over [outer, n, inner] does to the elements.
enum class Pass : uint8_t { Sum, SumAbs, SumSquare, Max, Min, Prod, SumExp };
}  // namespace fastort::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace fastort::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kBlock = 4096;  // elements, or rows, whose sums are added up

template <Pass pass>
struct Step {
  static constexpr bool kIsSum = pass != Pass::Max && pass != Pass::Min && pass != Pass::Prod;

  static float start() {
    if (pass == Pass::Max) return -std::numeric_limits<float>::infinity();
    if (pass == Pass::Min) return std::numeric_limits<float>::infinity();
    return pass == Pass::Prod ? 1.0f : 0.0f;
  }
  template <class D, class V>
  static HWY_INLINE V map(D d, V x, V shift) {
    if constexpr (pass == Pass::SumAbs) return hn::Abs(x);
    if constexpr (pass == Pass::SumSquare) return hn::Mul(x, x);
    if constexpr (pass == Pass::SumExp) return Exp(d, hn::Sub(x, shift));
    return x;
  }
  // NaN wins.
  template <class V>
  static HWY_INLINE V join(V a, V b) {
    if constexpr (pass == Pass::Max) return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
    if constexpr (pass == Pass::Min) return hn::IfThenElse(hn::Or(hn::Lt(a, b), hn::IsNaN(a)), a, b);
    if constexpr (pass == Pass::Prod) return hn::Mul(a, b);
    return hn::Add(a, b);
  }
  static double join_scalar(double a, double b) {
    if (pass == Pass::Max) return a > b || a != a ? a : b;
    if (pass == Pass::Min) return a < b || a != a ? a : b;
    return pass == Pass::Prod ? a * b : a + b;
  }
};

template <Pass pass>
float ReduceRow(const float* src, int64_t n, float shift_value) {
  using S = Step<pass>;
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V start = hn::Set(d, S::start()), shift = hn::Set(d, shift_value);
  double total = S::start();
  for (int64_t block = 0; block < n; block += kBlock) {
    const int64_t end = std::min(n, block + kBlock);
    V acc0 = start, acc1 = start, acc2 = start, acc3 = start;
    int64_t i = block;
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      acc0 = S::join(acc0, S::map(d, hn::LoadU(d, src + i), shift));
      acc1 = S::join(acc1, S::map(d, hn::LoadU(d, src + i + lanes), shift));
      acc2 = S::join(acc2, S::map(d, hn::LoadU(d, src + i + 2 * lanes), shift));
      acc3 = S::join(acc3, S::map(d, hn::LoadU(d, src + i + 3 * lanes), shift));
    }
    for (; i < end; i += lanes) {
      const size_t left = static_cast<size_t>(std::min(lanes, end - i));
      const V x = S::map(d, hn::LoadN(d, src + i, left), shift);
      acc0 = S::join(acc0, hn::IfThenElse(hn::FirstN(d, left), x, start));
    }
    HWY_ALIGN float values[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(S::join(S::join(acc0, acc1), S::join(acc2, acc3)), d, values);
    for (int64_t k = 0; k < lanes; ++k) total = S::join_scalar(total, static_cast<double>(values[k]));
  }
  return static_cast<float>(total);
}

// `columns` (at most a vector) neighbouring columns of n rows that are `stride` apart.
template <Pass pass>
void ReduceColumns(const float* src, int64_t n, int64_t stride, size_t columns, const float* shifts, float* dst) {
  using S = Step<pass>;
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const bool whole = columns == hn::Lanes(d);
  const V shift = shifts ? hn::LoadN(d, shifts, columns) : hn::Zero(d);
  V total = hn::Set(d, S::start());
  // Sums of 64 rows, then of 4096 such sums: the error stays near that of pairwise addition.
  V outer = total;
  for (int64_t row = 0; row < n;) {
    const int64_t end = std::min(n, row + 64);
    V acc0 = hn::Set(d, S::start()), acc1 = acc0;
    if (whole) {
      for (; row + 2 <= end; row += 2) {
        acc0 = S::join(acc0, S::map(d, hn::LoadU(d, src + row * stride), shift));
        acc1 = S::join(acc1, S::map(d, hn::LoadU(d, src + (row + 1) * stride), shift));
      }
    }
    for (; row < end; ++row) acc0 = S::join(acc0, S::map(d, hn::LoadN(d, src + row * stride, columns), shift));
    outer = S::join(outer, S::join(acc0, acc1));
    if (row % (64 * kBlock) == 0 || row == n) {
      total = S::join(total, outer);
      outer = hn::Set(d, S::start());
    }
  }
  hn::StoreN(total, d, dst, columns);
}

template <Pass pass>
void ReducePass(const float* src, const float* shifts, float* dst, int64_t outer, int64_t n, int64_t inner,
                const Parallel& parallel) {
  if (inner == 1) {
    parallel.range(outer, std::max<int64_t>(1, 16384 / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        dst[row] = ReduceRow<pass>(src + row * n, n, shifts ? shifts[row] : 0.0f);
    });
    return;
  }
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  const int64_t groups = (inner + lanes - 1) / lanes;
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(n * lanes, 1));
  parallel.range(outer * groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t row = at / groups, column = at % groups * lanes;
      const int64_t result = row * inner + column;
      ReduceColumns<pass>(src + row * n * inner + column, n, inner,
                          static_cast<size_t>(std::min(lanes, inner - column)), shifts ? shifts + result : nullptr,
                          dst + result);
    }
  });
}

using PassFn = void (*)(const float* src, const float* shifts, float* dst, int64_t outer, int64_t n, int64_t inner,
                        const Parallel& parallel);

PassFn FindPass(Pass pass) {
  switch (pass) {
    case Pass::Sum:
      return ReducePass<Pass::Sum>;
    case Pass::SumAbs:
      return ReducePass<Pass::SumAbs>;
    case Pass::SumSquare:
      return ReducePass<Pass::SumSquare>;
    case Pass::Max:
      return ReducePass<Pass::Max>;
    case Pass::Min:
      return ReducePass<Pass::Min>;
    case Pass::Prod:
      return ReducePass<Pass::Prod>;
    default:
      return ReducePass<Pass::SumExp>;
  }
}

}  // namespace fastort::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fastort::kernels {

HWY_EXPORT(FindPass);

namespace {

// The first pass over the elements; later passes join its results.
Pass first_pass(ReduceOp op) {
  switch (op) {
    case ReduceOp::Max:
      return Pass::Max;
    case ReduceOp::Min:
      return Pass::Min;
    case ReduceOp::Prod:
      return Pass::Prod;
    case ReduceOp::L1:
      return Pass::SumAbs;
    case ReduceOp::L2:
    case ReduceOp::SumSquare:
      return Pass::SumSquare;
    case ReduceOp::LogSumExp:
      return Pass::SumExp;
    default:
      return Pass::Sum;
  }
}

Pass later_pass(ReduceOp op) {
  const Pass first = first_pass(op);
  return first == Pass::Max || first == Pass::Min || first == Pass::Prod ? first : Pass::Sum;
}

size_t reduced_groups(const ReduceDims& dims) {
  size_t groups = 0;
  for (size_t i = 0; i < dims.sizes.size(); ++i) groups += dims.is_reduced(i);
  return groups;
}

void finish(ReduceOp op, const ReduceDims& dims, float* dst) {
  const float n = static_cast<float>(dims.reduced);
  for (int64_t i = 0; i < dims.kept; ++i) {
    if (op == ReduceOp::Mean) dst[i] /= n;
    if (op == ReduceOp::L2) dst[i] = std::sqrt(dst[i]);
    if (op == ReduceOp::LogSum) dst[i] = std::log(dst[i]);
  }
}

}  // namespace

ReduceDims ReduceDims::of(const Shape& shape, std::span<const uint8_t> reduce) {
  ReduceDims dims;
  bool last = false;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool reduced = reduce[d] != 0;
    (reduced ? dims.reduced : dims.kept) *= shape[d];
    if (shape[d] == 1) continue;
    if (!dims.sizes.empty() && last == reduced) {
      dims.sizes.back() *= shape[d];
    } else {
      if (dims.sizes.empty()) dims.first_reduced = reduced;
      dims.sizes.push_back(shape[d]);
    }
    last = reduced;
  }
  if (dims.sizes.empty()) dims.sizes.push_back(1);
  return dims;
}

bool reduces_in_vectors(ReduceOp op, const ReduceDims& dims) {
  return op != ReduceOp::LogSumExp || reduced_groups(dims) <= 1;
}

size_t reduce_workspace(ReduceOp op, const ReduceDims& dims) {
  if (op == ReduceOp::LogSumExp) return static_cast<size_t>(dims.kept) * sizeof(float);
  if (reduced_groups(dims) <= 1 || dims.reduced == 0 || dims.kept == 0) return 0;
  // Two scratch tensors: results of the first pass and of the second, which is smaller.
  const size_t last = dims.sizes.size() - (dims.is_reduced(dims.sizes.size() - 1) ? 1 : 2);
  const int64_t first = dims.kept * dims.reduced / dims.sizes[last];
  return static_cast<size_t>(2 * first) * sizeof(float);
}

void reduce_f32(ReduceOp op, const ReduceDims& dims, const float* src, float* dst, std::byte* workspace,
                const Parallel& parallel) {
  if (dims.kept == 0) return;
  const size_t groups = reduced_groups(dims);
  const Pass first = first_pass(op);
  auto run = [&](Pass pass, const float* from, const float* shifts, float* to, int64_t outer, int64_t n,
                 int64_t inner) {
    HWY_DYNAMIC_DISPATCH(FindPass)
    (pass)(from, shifts, to, outer, n, inner, parallel);
  };
  if (dims.reduced == 0) {  // nothing to join: the start value
    for (int64_t i = 0; i < dims.kept; ++i) run(first, src, nullptr, dst + i, 1, 0, 1);
    if (op == ReduceOp::LogSumExp) op = ReduceOp::LogSum;
    return finish(op, dims, dst);
  }
  int64_t outer = dims.kept * dims.reduced, inner = 1;
  float* const scratch = reinterpret_cast<float*>(workspace);
  if (groups == 0) {
    run(op == ReduceOp::LogSumExp ? Pass::Sum : first, src, nullptr, dst, dims.kept, 1, 1);
    return finish(op, dims, dst);
  }
  if (op == ReduceOp::LogSumExp) {
    const size_t at = dims.is_reduced(0) ? 0 : 1;
    const int64_t n = dims.sizes[at];
    outer = at == 1 ? dims.sizes[0] : 1;
    inner = dims.kept / outer;
    run(Pass::Max, src, nullptr, scratch, outer, n, inner);
    for (int64_t i = 0; i < dims.kept; ++i)
      if (std::isinf(scratch[i])) scratch[i] = 0;
    run(Pass::SumExp, src, scratch, dst, outer, n, inner);
    for (int64_t i = 0; i < dims.kept; ++i) dst[i] = std::log(dst[i]) + scratch[i];
    return;
  }
  // From the last reduced dimension to the first; results alternate between the halves of the scratch.
  const size_t half = reduce_workspace(op, dims) / (2 * sizeof(float));
  const float* from = src;
  size_t done = 0;
  for (size_t i = dims.sizes.size(); i-- > 0;) {
    const int64_t n = dims.sizes[i];
    outer /= n;
    if (!dims.is_reduced(i)) {
      inner *= n;
      continue;
    }
    float* to = done + 1 == groups ? dst : scratch + (done % 2 ? half : 0);
    run(done == 0 ? first : later_pass(op), from, nullptr, to, outer, n, inner);
    from = to;
    ++done;
  }
  finish(op, dims, dst);
}

}  // namespace fastort::kernels
#endif
