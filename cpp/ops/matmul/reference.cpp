#include <algorithm>
#include <type_traits>

#include "ops/matmul/matmul.h"
#include "tensor/dispatch.h"

namespace fastort::matmul {

namespace {

float load(float value) { return value; }
double load(double value) { return value; }
float load(Float16 value) { return to_float(value); }
float load(BFloat16 value) { return to_float(value); }
// Integers wrap around: computed without sign, where that is defined.
template <class T>
  requires std::is_integral_v<T>
std::make_unsigned_t<T> load(T value) {
  return static_cast<std::make_unsigned_t<T>>(value);
}

template <class T, class Sum>
T store(Sum value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return to_float16(value);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(value);
  } else {
    return static_cast<T>(value);
  }
}

template <class T>
class ReferenceKernel final : public Kernel {
  using Sum = decltype(load(T{}));

 public:
  explicit ReferenceKernel(const OpContext& context) : problem_(read_problem(context)) {}

  void run(const KernelArgs& args) const override {
    const Problem& p = problem_;
    const int64_t work = std::max<int64_t>(1, p.n * std::max<int64_t>(p.k, 1));
    args.parallel.range(p.batch() * p.m, 1 + 32768 / work, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) row(args, static_cast<size_t>(i / p.m), i % p.m);
    });
  }

 private:
  void row(const KernelArgs& args, size_t item, int64_t i) const {
    const Problem& p = problem_;
    const T* a = args.in<T>(0) + p.a_offsets[item] + (p.trans_a ? i : i * p.a_stride);
    const T* b = args.in<T>(1) + p.b_offsets[item];
    const int64_t a_step = p.trans_a ? p.a_stride : 1;
    const int64_t b_step = p.trans_b ? 1 : p.b_stride, b_col = p.trans_b ? p.b_stride : 1;
    const int64_t at = (static_cast<int64_t>(item) * p.m + i) * p.n;
    T* c = args.out<T>(0) + at;
    constexpr int64_t kCols = 64;
    for (int64_t j0 = 0; j0 < p.n; j0 += kCols) {
      const int64_t cols = std::min(kCols, p.n - j0);
      Sum sums[kCols] = {};
      for (int64_t k = 0; k < p.k; ++k) {
        const Sum x = load(a[k * a_step]);
        const T* row_b = b + k * b_step + j0 * b_col;
        for (int64_t j = 0; j < cols; ++j) sums[j] += x * load(row_b[j * b_col]);
      }
      for (int64_t j = 0; j < cols; ++j) {
        Sum sum = scale(sums[j], p.alpha);
        if (p.bias >= 0) sum += scale(load(args.in<T>(p.bias)[bias_index(i, j0 + j)]), p.beta);
        if (p.residual >= 0) sum += load(args.in<T>(p.residual)[at + j0 + j]);
        if constexpr (std::is_floating_point_v<Sum>) sum = activate(p.activation, sum);
        c[j0 + j] = store<T>(sum);
      }
    }
  }

  static Sum scale(Sum value, float factor) {
    if (factor == 1) return value;
    if constexpr (std::is_floating_point_v<Sum>) {
      return value * static_cast<Sum>(factor);
    } else {
      return static_cast<Sum>(static_cast<T>(static_cast<double>(static_cast<T>(value)) * static_cast<double>(factor)));
    }
  }

  int64_t bias_index(int64_t i, int64_t j) const {
    switch (problem_.addend) {
      case Addend::PerColumn:
        return j;
      case Addend::PerRow:
        return i;
      case Addend::Full:
        return i * problem_.n + j;
      default:
        return 0;
    }
  }

  Problem problem_;
};

}  // namespace

std::unique_ptr<Kernel> prepare_reference(const OpContext& context) {
  using Types = Joined<FloatList, TypeList<int32_t, int64_t, uint32_t, uint64_t>>;
  return with_type(Types{}, "a product", context.type(0),
                   [&]<class T>(std::type_identity<T>) -> std::unique_ptr<Kernel> {
                     return std::make_unique<ReferenceKernel<T>>(context);
                   });
}

}  // namespace fastort::matmul
