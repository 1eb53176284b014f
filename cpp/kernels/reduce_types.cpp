#include <cmath>
#include <limits>

#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"
#include "kernels/reduce.h"

namespace fastort::kernels {
namespace {

// Offsets of the elements with the given kind of dimension (kept or reduced) running, counted by an index.
struct Walk {
  InlineVector<int64_t, 8> sizes, strides;

  Walk(const ReduceDims& dims, bool reduced) {
    int64_t stride = 1;
    for (size_t i = dims.sizes.size(); i-- > 0;) {
      if (dims.is_reduced(i) == reduced) {
        sizes.insert(0, dims.sizes[i]);
        strides.insert(0, stride);
      }
      stride *= dims.sizes[i];
    }
    if (sizes.empty()) {
      sizes.push_back(1);
      strides.push_back(0);
    }
  }
  int64_t offset(int64_t index) const {
    int64_t result = 0;
    for (size_t i = sizes.size(); i-- > 0;) {
      result += index % sizes[i] * strides[i];
      index /= sizes[i];
    }
    return result;
  }
  // Calls f(offset, stride, count) for each run along the last dimension.
  template <class F>
  void runs(F&& f) const {
    const int64_t n = sizes.back();
    int64_t total = 1;
    for (int64_t size : sizes) total *= size;
    for (int64_t i = 0; i < total; i += n) f(offset(i), strides.back(), n);
  }
};

template <class T>
struct Number {
  using Wide = T;
  static T widen(T x) { return x; }
  static T narrow(T x) { return x; }
};
template <>
struct Number<float> {
  using Wide = double;
  static double widen(float x) { return x; }
  static float narrow(double x) { return static_cast<float>(x); }
};
template <>
struct Number<Float16> {
  using Wide = double;
  static double widen(Float16 x) { return to_float(x); }
  static Float16 narrow(double x) { return to_float16(static_cast<float>(x)); }
};
template <>
struct Number<BFloat16> {
  using Wide = double;
  static double widen(BFloat16 x) { return to_float(x); }
  static BFloat16 narrow(double x) { return to_bfloat16(static_cast<float>(x)); }
};

// Saturates a real result to an integer type.
template <class T>
T to_integer(double x) {
  if (!(x > static_cast<double>(std::numeric_limits<T>::lowest()))) return std::numeric_limits<T>::lowest();
  if (x >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(x);
}

template <class T>
constexpr T lowest() {
  return std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}
template <class T>
constexpr T highest() {
  return std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
}

// The result of one sum; `each(f)` calls f with every element.
template <ReduceOp op, class W, class Each>
W reduce_one(int64_t n, Each&& each) {
  constexpr bool kReal = std::is_floating_point_v<W>;
  if constexpr (op == ReduceOp::Max) {
    W best = lowest<W>();
    each([&](W x) { best = best > x || best != best ? best : x; });
    return best;
  } else if constexpr (op == ReduceOp::Min) {
    W best = highest<W>();
    each([&](W x) { best = best < x || best != best ? best : x; });
    return best;
  } else if constexpr (op == ReduceOp::LogSumExp) {
    double max = -std::numeric_limits<double>::infinity();
    each([&](W x) { max = std::max(max, static_cast<double>(x)); });
    if (std::isinf(max)) max = 0;
    double sum = 0;
    each([&](W x) { sum += std::exp(static_cast<double>(x) - max); });
    const double result = std::log(sum) + max;
    if constexpr (kReal) return result;
    return to_integer<W>(result);
  } else if constexpr (kReal) {
    W sum = op == ReduceOp::Prod ? 1 : 0;
    each([&](W x) {
      if constexpr (op == ReduceOp::Prod)
        sum *= x;
      else if constexpr (op == ReduceOp::L1)
        sum += std::abs(x);
      else if constexpr (op == ReduceOp::L2 || op == ReduceOp::SumSquare)
        sum += x * x;
      else
        sum += x;
    });
    if constexpr (op == ReduceOp::Mean) return sum / static_cast<W>(n);
    if constexpr (op == ReduceOp::L2) return std::sqrt(sum);
    if constexpr (op == ReduceOp::LogSum) return std::log(sum);
    return sum;
  } else if constexpr (op == ReduceOp::L2 || op == ReduceOp::LogSum) {
    double sum = 0;
    each([&](W x) {
      sum += op == ReduceOp::L2 ? static_cast<double>(x) * static_cast<double>(x) : static_cast<double>(x);
    });
    return to_integer<W>(op == ReduceOp::L2 ? std::sqrt(sum) : std::log(sum));
  } else {
    uint64_t sum = op == ReduceOp::Prod ? 1 : 0;
    each([&](W x) {
      const uint64_t v = static_cast<uint64_t>(x);
      if constexpr (op == ReduceOp::Prod)
        sum *= v;
      else if constexpr (op == ReduceOp::L1)
        sum += x < W{0} ? uint64_t{0} - v : v;
      else if constexpr (op == ReduceOp::SumSquare)
        sum += v * v;
      else
        sum += v;
    });
    if constexpr (op == ReduceOp::Mean) {
      if (n == 0) return W{0};
      if constexpr (std::is_signed_v<W>) return static_cast<W>(static_cast<int64_t>(sum) / n);
      return static_cast<W>(sum / static_cast<uint64_t>(n));
    }
    return static_cast<W>(sum);
  }
}

template <ReduceOp op, class T>
void reduce_typed(const ReduceDims& dims, const void* src_void, void* dst_void, const Parallel& parallel) {
  const T* src = static_cast<const T*>(src_void);
  T* dst = static_cast<T*>(dst_void);
  const Walk kept(dims, false), reduced(dims, true);
  using W = typename Number<T>::Wide;
  parallel.range(dims.kept, std::max<int64_t>(1, 4096 / std::max<int64_t>(dims.reduced, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const T* base = src + kept.offset(i);
                     const W result = reduce_one<op, W>(dims.reduced, [&](auto f) {
                       if (dims.reduced == 0) return;
                       reduced.runs([&](int64_t offset, int64_t stride, int64_t n) {
                         for (int64_t k = 0; k < n; ++k) f(Number<T>::widen(base[offset + k * stride]));
                       });
                     });
                     dst[i] = Number<T>::narrow(result);
                   }
                 });
}

// Max is or, Min is and.
template <ReduceOp op>
void reduce_bool(const ReduceDims& dims, const void* src_void, void* dst_void, const Parallel& parallel) {
  reduce_typed<op, uint8_t>(dims, src_void, dst_void, parallel);
  if (dims.reduced != 0) return;
  std::fill_n(static_cast<bool*>(dst_void), dims.kept, op == ReduceOp::Min);
}

template <ReduceOp op>
ReduceFn find(DataType type) {
  if (type == DataType::Bool) {
    if constexpr (op == ReduceOp::Max || op == ReduceOp::Min) return reduce_bool<op>;
    return nullptr;
  }
  return dispatch(NumberList{}, type,
                  [](auto tag) -> ReduceFn { return reduce_typed<op, typename decltype(tag)::type>; });
}

}  // namespace

ReduceFn reduce_any(ReduceOp op, DataType type) {
  switch (op) {
    case ReduceOp::Sum:
      return find<ReduceOp::Sum>(type);
    case ReduceOp::Mean:
      return find<ReduceOp::Mean>(type);
    case ReduceOp::Max:
      return find<ReduceOp::Max>(type);
    case ReduceOp::Min:
      return find<ReduceOp::Min>(type);
    case ReduceOp::Prod:
      return find<ReduceOp::Prod>(type);
    case ReduceOp::L1:
      return find<ReduceOp::L1>(type);
    case ReduceOp::L2:
      return find<ReduceOp::L2>(type);
    case ReduceOp::LogSum:
      return find<ReduceOp::LogSum>(type);
    case ReduceOp::LogSumExp:
      return find<ReduceOp::LogSumExp>(type);
    case ReduceOp::SumSquare:
      return find<ReduceOp::SumSquare>(type);
  }
  return nullptr;
}

}  // namespace fastort::kernels
