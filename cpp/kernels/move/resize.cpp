#include "kernels/move/resize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/move/element.h"
#include "kernels/move/strided_copy.h"
#include "tensor/dispatch.h"

namespace fastort::kernels {
namespace {

// In which weighted sums are formed: four bytes and more do not fit a float's digits.
template <class T>
using Accumulator = std::conditional_t<
    kIsComplex<T>, T,
    std::conditional_t<std::is_same_v<T, double> || (std::is_integral_v<T> && sizeof(T) >= 4), double, float>>;

// Calls f with the type of the elements.
template <class F>
decltype(auto) with_weighted(DataType type, F&& f) {
  return with_type(Joined<RealList, ComplexList>{}, "an interpolation", type, f);
}

template <class Acc, class T>
Acc widen(T value) {
  return static_cast<Acc>(widened(value));
}

// A real number as an element of the sums.
template <class Acc>
Acc real_number(double value) {
  if constexpr (kIsComplex<Acc>) {
    return Acc(static_cast<typename Acc::value_type>(value));
  } else {
    return static_cast<Acc>(value);
  }
}

// Integers are rounded to the nearest even and kept inside their range.
template <class T, class Acc>
T narrow(Acc value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    const Acc whole = std::nearbyint(value);
    if (!(whole > static_cast<Acc>(Limits::min()))) return Limits::min();
    // The largest value of a wide type is not a floating-point number; the next one above is.
    if (whole >= static_cast<Acc>(Limits::max())) return Limits::max();
    return static_cast<T>(whole);
  } else {
    return rounded<T>(static_cast<Arithmetic<T>>(value));
  }
}

// The extrapolation value as an element that is moved as T.
template <class T>
T fill_value(DataType type, double value) {
  if constexpr (std::is_integral_v<T>) {
    const auto single = static_cast<float>(value);
    if (type == DataType::Float16) return static_cast<T>(to_float16(single).bits);
    if (type == DataType::BFloat16) return static_cast<T>(to_bfloat16(single).bits);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (type == DataType::Float) return std::bit_cast<T>(single);
    }
    if constexpr (sizeof(T) == sizeof(double)) {
      if (type == DataType::Double) return std::bit_cast<T>(value);
      if (type == DataType::Complex64)
        return static_cast<T>(std::bit_cast<uint32_t>(single));  // the real part is first
    }
    if (type == DataType::Bool) return static_cast<T>(value != 0);
    return static_cast<T>(static_cast<int64_t>(std::clamp(value, -1e18, 1e18)));
  } else if constexpr (std::is_same_v<T, Bytes16>) {
    return {std::bit_cast<uint64_t>(value), 0};
  } else {
    return T{};
  }
}

// The innermost resized dimension of one line, by the nearest elements.
template <class T>
void copy_line(const ResizeAxis& table, int64_t inner, const T& fill, const T* src, T* dst) {
  const int64_t* index = table.index.data();
  const bool outside = std::any_of(index, index + table.out, [](int64_t at) { return at < 0; });
  if (outside) {
    for (int64_t i = 0; i < table.out; ++i) {
      if (index[i] < 0)
        std::fill_n(dst + i * inner, inner, fill);
      else
        copy_run(src + index[i] * inner, dst + i * inner, inner);
    }
  } else if (inner == 1) {
    for (int64_t i = 0; i < table.out; ++i) dst[i] = src[index[i]];
  } else if (inner == 8) {  // blocks of channels: a copy of known size
    for (int64_t i = 0; i < table.out; ++i) copy_run(src + index[i] * 8, dst + i * 8, 8);
  } else {
    for (int64_t i = 0; i < table.out; ++i) copy_run(src + index[i] * inner, dst + i * inner, inner);
  }
}

// One dimension of src [outer, in, inner] becomes dst [outer, out, inner].
template <class Acc>
void resize_one(const ResizeAxis& table, int64_t outer, int64_t inner, Acc extrapolation, const Acc* src, Acc* dst,
                const Parallel& parallel) {
  std::vector<Acc> weights;
  weights.reserve(table.weight.size());
  for (double weight : table.weight) weights.push_back(real_number<Acc>(weight));
  const int taps = table.taps;
  if (inner == 1) {
    parallel.range(outer, move_grain<Acc>() / std::max<int64_t>(1, table.out * taps), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const Acc* line = src + o * table.in;
        Acc* to = dst + o * table.out;
        const int64_t* index = table.index.data();
        const Acc* weight = weights.data();
        for (int64_t i = 0; i < table.out; ++i, index += taps, weight += taps) {
          if (index[0] < 0) {
            to[i] = extrapolation;
            continue;
          }
          Acc sum = weight[0] * line[index[0]];
          for (int k = 1; k < taps; ++k) sum += weight[k] * line[index[k]];
          to[i] = sum;
        }
      }
    });
    return;
  }
  parallel.range(outer * table.out, move_grain<Acc>() / (inner * taps), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t o = row / table.out, i = row % table.out;
      const Acc* plane = src + o * table.in * inner;
      const int64_t* index = table.index.data() + i * taps;
      const Acc* weight = weights.data() + i * taps;
      Acc* to = dst + row * inner;
      if (index[0] < 0) {
        std::fill_n(to, inner, extrapolation);
        continue;
      }
      if (taps == 2) {
        const Acc *a = plane + index[0] * inner, *b = plane + index[1] * inner;
        const Acc wa = weight[0], wb = weight[1];
        for (int64_t x = 0; x < inner; ++x) to[x] = wa * a[x] + wb * b[x];
        continue;
      }
      for (int k = 0; k < taps; ++k) {
        const Acc* from = plane + index[k] * inner;
        const Acc w = weight[k];
        if (k == 0)
          for (int64_t x = 0; x < inner; ++x) to[x] = w * from[x];
        else
          for (int64_t x = 0; x < inner; ++x) to[x] += w * from[x];
      }
    }
  });
}

}  // namespace

Resize::Resize(DataType type, const Shape& src, std::vector<ResizeAxis> axes, const ResizeOptions& options)
    : type_(type),
      src_(src),
      dst_(src),
      axes_(std::move(axes)),
      nearest_(options.mode == ResizeMode::Nearest),
      extrapolation_(options.extrapolation) {
  for (const ResizeAxis& axis : axes_) dst_[static_cast<size_t>(axis.axis)] = axis.out;
  if (nearest_) {
    std::sort(axes_.begin(), axes_.end(), [](const auto& a, const auto& b) { return a.axis < b.axis; });
    return;
  }
  // What shrinks most comes first; what grows comes from the innermost dimension outwards.
  auto growth = [](const ResizeAxis& axis) {
    return std::max(1.0, static_cast<double>(axis.in)) / std::max(1.0, static_cast<double>(axis.out));
  };
  std::sort(axes_.begin(), axes_.end(), [&](const auto& a, const auto& b) {
    const double left = std::max(1.0, growth(a)), right = std::max(1.0, growth(b));
    return left != right ? left > right : a.axis > b.axis;
  });
  const auto [direct, item_bytes] = with_weighted(type_, []<class T>(std::type_identity<T>) {
    return std::pair(std::is_same_v<T, Accumulator<T>>, sizeof(Accumulator<T>));
  });
  Shape shape = src_;
  int64_t largest = direct ? 0 : shape.count();
  for (size_t i = 0; i < axes_.size(); ++i) {
    shape[static_cast<size_t>(axes_[i].axis)] = axes_[i].out;
    if (!direct || i + 1 < axes_.size()) largest = std::max(largest, shape.count());
  }
  scratch_ = largest;
  workspace_bytes_ = 2 * static_cast<size_t>(largest) * item_bytes;
}

template <class T>
void Resize::run_nearest(const T* src, T* dst, const Parallel& parallel) const {
  const int last = axes_.back().axis;
  const ResizeAxis& table = axes_.back();
  const int64_t inner = src_.count(last + 1, src_.rank()), lines = dst_.count(0, last);
  const Strides strides = strides_of(src_);
  const T fill = fill_value<T>(type_, extrapolation_);
  parallel.range(lines, move_grain<T>() / std::max<int64_t>(1, table.out * inner), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const T* from = src;
      bool inside = true;
      auto next = static_cast<int>(axes_.size()) - 2;
      for (int64_t d = last - 1, rest = line; d >= 0; --d) {
        int64_t at = rest % dst_[static_cast<size_t>(d)];
        rest /= dst_[static_cast<size_t>(d)];
        if (next >= 0 && axes_[static_cast<size_t>(next)].axis == d)
          at = axes_[static_cast<size_t>(next--)].index[static_cast<size_t>(at)];
        inside = inside && at >= 0;
        from += std::max<int64_t>(at, 0) * strides[static_cast<size_t>(d)];
      }
      T* to = dst + line * table.out * inner;
      if (inside)
        copy_line(table, inner, fill, from, to);
      else
        std::fill_n(to, table.out * inner, fill);
    }
  });
}

template <class T, class Acc>
void Resize::run_weighted(const T* src, T* dst, std::byte* workspace, const Parallel& parallel) const {
  constexpr bool kDirect = std::is_same_v<T, Acc>;
  Acc* buffers[] = {reinterpret_cast<Acc*>(workspace), reinterpret_cast<Acc*>(workspace) + scratch_};
  const Acc* from = buffers[0];
  size_t next = 0;
  if constexpr (kDirect) {
    from = src;
  } else {
    parallel.range(src_.count(), move_grain<Acc>(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) buffers[0][i] = widen<Acc>(src[i]);
    });
    next = 1;
  }
  Shape shape = src_;
  for (size_t i = 0; i < axes_.size(); ++i) {
    const ResizeAxis& table = axes_[i];
    Acc* to = buffers[next];
    if constexpr (kDirect) {
      if (i + 1 == axes_.size()) to = dst;
    }
    resize_one<Acc>(table, shape.count(0, table.axis), shape.count(table.axis + 1, shape.rank()),
                    real_number<Acc>(extrapolation_), from, to, parallel);
    shape[static_cast<size_t>(table.axis)] = table.out;
    from = to;
    next = 1 - next;
  }
  if constexpr (!kDirect) {
    parallel.range(dst_.count(), move_grain<Acc>(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = narrow<T>(from[i]);
    });
  }
}

void Resize::run(const std::byte* src, std::byte* dst, std::byte* workspace, const Parallel& parallel) const {
  if (dst_.count() == 0) return;
  if (axes_.empty()) {
    StridedCopy(type_, Shape{src_.count()}, {1}, {1}).run(src, dst, parallel);
    return;
  }
  if (nearest_) {
    with_element(type_, [&]<class T>(std::type_identity<T>) {
      run_nearest(reinterpret_cast<const T*>(src), reinterpret_cast<T*>(dst), parallel);
    });
    return;
  }
  with_weighted(type_, [&]<class T>(std::type_identity<T>) {
    run_weighted<T, Accumulator<T>>(reinterpret_cast<const T*>(src), reinterpret_cast<T*>(dst), workspace, parallel);
  });
}

}  // namespace fastort::kernels
