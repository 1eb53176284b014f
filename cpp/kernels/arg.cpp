#include "kernels/arg.h"

#include <algorithm>
#include <vector>

#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"

namespace fastort::kernels {
namespace {

template <class T>
auto number(T x) {
  if constexpr (kIsHalf<T>)
    return to_float(x);
  else
    return x;
}

// Strict orders in which NaN is larger than every number.
struct Greater {
  template <class V>
  bool operator()(V a, V b) const {
    return a > b || (a != a && b == b);
  }
};
struct Less {
  template <class V>
  bool operator()(V a, V b) const {
    return a < b || (a == a && b != b);
  }
};
// The smallest, where NaN comes first all the same.
struct LessOrNaN {
  template <class V>
  bool operator()(V a, V b) const {
    return a < b || (a != a && b == b);
  }
};

template <class Before, class T>
void arg(const AxisView& view, const void* src_void, int64_t* dst, bool last, const Parallel& parallel) {
  const T* src = static_cast<const T*>(src_void);
  const Before before;
  const int64_t n = view.n, inner = view.inner;
  parallel.range(view.outer * inner, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const T* x = src + at / inner * n * inner + at % inner;
      int64_t best = 0;
      auto value = number(x[0]);
      for (int64_t i = 1; i < n; ++i) {
        const auto v = number(x[i * inner]);
        if (last ? !before(value, v) : before(v, value)) {
          best = i;
          value = v;
        }
      }
      dst[at] = best;
    }
  });
}

template <class Before, class T>
void top_k_rows(const AxisView& view, int64_t k, const T* src, T* values, int64_t* indices, const Parallel& parallel) {
  const int64_t n = view.n, inner = view.inner;
  parallel.range(view.outer * inner, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
    // Keeps its memory from one call to the next.
    thread_local std::vector<int64_t> order;
    for (int64_t at = begin; at < end; ++at) {
      const T* x = src + at / inner * n * inner + at % inner;
      auto before = [x, inner](int64_t a, int64_t b) {
        const auto va = number(x[a * inner]), vb = number(x[b * inner]);
        const Before first;
        if (first(va, vb)) return true;
        return !first(vb, va) && a < b;
      };
      order.clear();
      if (k < n / 8) {
        // A heap of the best so far, its worst on top: most elements are refused at one comparison.
        for (int64_t i = 0; i < k; ++i) order.push_back(i);
        std::make_heap(order.begin(), order.end(), before);
        for (int64_t i = k; i < n; ++i) {
          if (!before(i, order.front())) continue;
          std::pop_heap(order.begin(), order.end(), before);
          order.back() = i;
          std::push_heap(order.begin(), order.end(), before);
        }
        std::sort_heap(order.begin(), order.end(), before);
      } else {
        for (int64_t i = 0; i < n; ++i) order.push_back(i);
        if (k < n) std::nth_element(order.begin(), order.begin() + k, order.end(), before);
        std::sort(order.begin(), order.begin() + k, before);
      }
      const int64_t to = at / inner * k * inner + at % inner;
      for (int64_t i = 0; i < k; ++i) {
        const int64_t index = order[static_cast<size_t>(i)];
        if (values) values[to + i * inner] = x[index * inner];
        if (indices) indices[to + i * inner] = index;
      }
    }
  });
}

template <class T>
void top_k_typed(const AxisView& view, int64_t k, bool largest, const void* src, void* values, int64_t* indices,
                 const Parallel& parallel) {
  if (k == 0 || view.n == 0) return;
  const T* x = static_cast<const T*>(src);
  T* y = static_cast<T*>(values);
  if (largest)
    top_k_rows<Greater>(view, k, x, y, indices, parallel);
  else
    top_k_rows<Less>(view, k, x, y, indices, parallel);
}

template <class T>
T accumulate(bool product, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using W = WrapType<T>;
    const W x = static_cast<W>(a), y = static_cast<W>(b);
    return static_cast<T>(product ? x * y : x + y);
  } else {
    return product ? a * b : a + b;
  }
}

template <class T>
void scan_typed(const AxisView& view, const Scan& scan, const void* src_void, void* dst_void,
                const Parallel& parallel) {
  const T* src = static_cast<const T*>(src_void);
  T* dst = static_cast<T*>(dst_void);
  using Sum = std::conditional_t<std::is_same_v<T, float>, double, T>;
  const int64_t n = view.n, inner = view.inner;
  parallel.range(view.outer * inner, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t first = at / inner * n * inner + at % inner;
      Sum sum = scan.product ? Sum(1) : Sum(0);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t k = first + (scan.reverse ? n - 1 - i : i) * inner;
        const Sum x = static_cast<Sum>(src[k]);
        const Sum next = accumulate(scan.product, sum, x);
        dst[k] = static_cast<T>(scan.exclusive ? sum : next);
        sum = next;
      }
    }
  });
}

template <class F>
auto dispatch_numeric(DataType type, F&& f) {
  return dispatch(NumberList{}, type, f);
}

}  // namespace

ArgFn arg_max(DataType type) {
  return dispatch_numeric(type, [](auto tag) -> ArgFn { return arg<Greater, typename decltype(tag)::type>; });
}

ArgFn arg_min(DataType type) {
  return dispatch_numeric(type, [](auto tag) -> ArgFn { return arg<LessOrNaN, typename decltype(tag)::type>; });
}

TopKFn top_k(DataType type) {
  return dispatch_numeric(type, [](auto tag) -> TopKFn { return top_k_typed<typename decltype(tag)::type>; });
}

ScanFn scan_along(DataType type) {
  return dispatch(Joined<TypeList<float, double>, IntList>{}, type,
                  [](auto tag) -> ScanFn { return scan_typed<typename decltype(tag)::type>; });
}

}  // namespace fastort::kernels
