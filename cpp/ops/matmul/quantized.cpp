#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "ops/matmul/matmul.h"

namespace fastort::matmul {

namespace {

// Zero points and scales of an operand: one for all, or one for each row of A and of the output, or column of B; with
// as many dimensions as the operand, also for each matrix of its batch.
void check_parameter(const OpContext& context, int input, int64_t lines, int64_t total, const char* what) {
  if (!context.has_input(input)) return;
  const int64_t count = context.shape(input).count();
  if (count == 1 || count == lines || count == total) return;
  context.fail(std::string(what) + " has " + std::to_string(count) + " items; expected 1 or " + std::to_string(lines));
}

float read_float(const KernelArgs& args, int input, DataType type, int64_t i) {
  switch (type) {
    case DataType::Float16:
      return to_float(args.in<Float16>(input)[i]);
    case DataType::BFloat16:
      return to_float(args.in<BFloat16>(input)[i]);
    default:
      return args.in<float>(input)[i];
  }
}

// Positions of the inputs.
struct Inputs {
  int a, b, a_zero, b_zero;
};
constexpr Inputs kIntegerInputs{0, 1, 2, 3};
constexpr Inputs kQlinearInputs{0, 3, 2, 5};

// int32 rows of (A - a_zero) * (B - b_zero).
template <class A, class B>
class Product {
 public:
  Product(const OpContext& context, const Inputs& inputs)
      : problem_(plain_problem(context.shape(inputs.a), context.shape(inputs.b), false, false)), inputs_(inputs) {
    const auto count = [&](int input) { return context.has_input(input) ? context.shape(input).count() : 0; };
    a_zeros_ = count(inputs.a_zero);
    b_zeros_ = count(inputs.b_zero);
    const Shape& a = context.shape(inputs.a);
    a_rows_ = a.rank() > 1 ? a[a.size() - 2] : 1;
    a_total_ = problem_.k == 0 ? a_rows_ : a.count() / problem_.k;
    b_total_ = problem_.k == 0 ? problem_.n : context.shape(inputs.b).count() / problem_.k;
  }

  const Problem& problem() const { return problem_; }
  int64_t a_rows() const { return a_rows_; }
  int64_t a_total() const { return a_total_; }
  int64_t b_total() const { return b_total_; }
  // The row of all A, and the first column of all B, that row i of a batch item is made from.
  int64_t a_line(size_t item, int64_t i) const {
    return problem_.k == 0 ? i : problem_.a_offsets[item] / problem_.k + i;
  }
  int64_t b_line(size_t item) const { return problem_.k == 0 ? 0 : problem_.b_offsets[item] / problem_.k; }

  static constexpr int64_t kCols = 64;
  // Sums of columns [j0, j0 + cols) of row i.
  void row(const KernelArgs& args, size_t item, int64_t i, int64_t j0, int64_t cols, uint32_t* sums) const {
    const Problem& p = problem_;
    const A* a = args.in<A>(inputs_.a) + p.a_offsets[item] + i * p.a_stride;
    const B* b = args.in<B>(inputs_.b) + p.b_offsets[item];
    const int64_t b_step = p.trans_b ? 1 : p.b_stride, b_col = p.trans_b ? p.b_stride : 1;
    const int32_t a_zero =
        a_zeros_ > 0 ? static_cast<int32_t>(args.in<A>(inputs_.a_zero)[a_line(item, i) % a_zeros_]) : 0;
    int32_t b_zero[kCols] = {};
    if (b_zeros_ > 0) {
      for (int64_t j = 0; j < cols; ++j)
        b_zero[j] = static_cast<int32_t>(args.in<B>(inputs_.b_zero)[(b_line(item) + j0 + j) % b_zeros_]);
    }
    std::fill(sums, sums + cols, 0u);
    for (int64_t k = 0; k < p.k; ++k) {
      const int32_t x = static_cast<int32_t>(a[k]) - a_zero;
      const B* row_b = b + k * b_step + j0 * b_col;
      for (int64_t j = 0; j < cols; ++j)
        sums[j] += static_cast<uint32_t>(x * (static_cast<int32_t>(row_b[j * b_col]) - b_zero[j]));
    }
  }

  // Calls body(item, i, j0, cols, sums) for every stretch of the output.
  template <class F>
  void run(const KernelArgs& args, F&& body) const {
    const Problem& p = problem_;
    const int64_t work = std::max<int64_t>(1, p.n * std::max<int64_t>(p.k, 1));
    args.parallel.range(p.batch() * p.m, 1 + 32768 / work, [&](int64_t begin, int64_t end) {
      uint32_t sums[kCols];
      for (int64_t r = begin; r < end; ++r) {
        const size_t item = static_cast<size_t>(r / p.m);
        for (int64_t j0 = 0; j0 < p.n; j0 += kCols) {
          const int64_t cols = std::min(kCols, p.n - j0);
          row(args, item, r % p.m, j0, cols, sums);
          body(item, r % p.m, j0, cols, sums);
        }
      }
    });
  }

 private:
  Problem problem_;
  Inputs inputs_;
  int64_t a_zeros_ = 0, b_zeros_ = 0, a_rows_ = 1, a_total_ = 0, b_total_ = 0;
};

template <class A, class B>
std::unique_ptr<Kernel> make_integer(const OpContext& context) {
  const Product<A, B> product(context, kIntegerInputs);
  check_parameter(context, 2, product.a_rows(), product.a_total(), "a_zero_point");
  check_parameter(context, 3, product.problem().n, product.b_total(), "b_zero_point");
  return make_kernel([product](const KernelArgs& args) {
    const Problem& p = product.problem();
    product.run(args, [&](size_t item, int64_t i, int64_t j0, int64_t cols, const uint32_t* sums) {
      int32_t* const y = args.out<int32_t>(0) + (static_cast<int64_t>(item) * p.m + i) * p.n + j0;
      for (int64_t j = 0; j < cols; ++j) y[j] = static_cast<int32_t>(sums[j]);
    });
  });
}

template <class Y>
Y quantize(float value, int32_t zero) {
  const float rounded = std::nearbyint(value) + static_cast<float>(zero);
  constexpr float kLow = std::numeric_limits<Y>::lowest(), kHigh = std::numeric_limits<Y>::max();
  // NaN becomes the lowest number.
  return static_cast<Y>(rounded > kLow ? std::min(rounded, kHigh) : kLow);
}

template <class A, class B, class Y>
std::unique_ptr<Kernel> make_qlinear(const OpContext& context) {
  const Product<A, B> product(context, kQlinearInputs);
  const Problem& p = product.problem();
  check_parameter(context, 1, product.a_rows(), product.a_total(), "a_scale");
  check_parameter(context, 2, product.a_rows(), product.a_total(), "a_zero_point");
  check_parameter(context, 4, p.n, product.b_total(), "b_scale");
  check_parameter(context, 5, p.n, product.b_total(), "b_zero_point");
  const int64_t rows = p.batch() * p.m;
  check_parameter(context, 6, product.a_rows(), rows, "y_scale");
  check_parameter(context, 7, product.a_rows(), rows, "y_zero_point");
  const int64_t a_scales = context.shape(1).count(), b_scales = context.shape(4).count();
  const int64_t y_scales = context.shape(6).count(), y_zeros = context.shape(7).count();
  if (std::min({a_scales, b_scales, y_scales, y_zeros}) < 1) context.fail("a scale or zero point is empty");
  const DataType a_type = context.type(1), b_type = context.type(4), y_type = context.type(6);
  return make_kernel([=](const KernelArgs& args) {
    const Problem& q = product.problem();
    product.run(args, [&](size_t item, int64_t i, int64_t j0, int64_t cols, const uint32_t* sums) {
      const int64_t line = static_cast<int64_t>(item) * q.m + i;
      Y* const y = args.out<Y>(0) + line * q.n + j0;
      const float a_scale = read_float(args, 1, a_type, product.a_line(item, i) % a_scales);
      const float y_scale = read_float(args, 6, y_type, line % y_scales);
      const int32_t y_zero = static_cast<int32_t>(args.in<Y>(7)[line % y_zeros]);
      for (int64_t j = 0; j < cols; ++j) {
        const float b_scale = read_float(args, 4, b_type, (product.b_line(item) + j0 + j) % b_scales);
        const float scale = a_scale * b_scale / y_scale;
        y[j] = quantize<Y>(static_cast<float>(static_cast<int32_t>(sums[j])) * scale, y_zero);
      }
    });
  });
}

// Calls f with a value of the named type, int8_t or uint8_t.
template <class F>
std::unique_ptr<Kernel> with_byte(DataType type, F f) {
  if (type == DataType::Int8) return f(int8_t{});
  if (type == DataType::UInt8) return f(uint8_t{});
  not_implemented("a quantized product of " + std::string(name(type)));
}

// Kernels read an operand and its zero point as one type.
void check_zero_point(InferContext& context, int operand, int zero) {
  if (context.has_input(zero) && context.type(zero) != context.type(operand))
    context.fail("a zero point has another type than its operand; insert a Cast");
}

}  // namespace

void infer_integer(InferContext& context) {
  check_zero_point(context, 0, 2);
  check_zero_point(context, 1, 3);
  if (!context.has_shape(0) || !context.has_shape(1)) return context.out(0, DataType::Int32);
  context.out(0, DataType::Int32, product_shape(context, context.shape(0), context.shape(1), false, false));
}

void infer_qlinear(InferContext& context) {
  for (int i = 0; i < 8; ++i)
    if (!context.has_input(i)) context.fail("it takes eight inputs");
  check_zero_point(context, 0, 2);
  check_zero_point(context, 3, 5);
  for (int i : {1, 4, 6}) {
    const DataType scale = context.type(i);
    if (scale != DataType::Float && scale != DataType::Float16 && scale != DataType::BFloat16)
      context.fail("a scale must be of type float, float16 or bfloat16");
  }
  const DataType type = context.type(7);
  if (!context.has_shape(0) || !context.has_shape(3)) return context.out(0, type);
  context.out(0, type, product_shape(context, context.shape(0), context.shape(3), false, false));
}

std::unique_ptr<Kernel> prepare_integer(const OpContext& context) {
  return with_byte(context.type(0), [&](auto a) {
    return with_byte(context.type(1), [&](auto b) { return make_integer<decltype(a), decltype(b)>(context); });
  });
}

std::unique_ptr<Kernel> prepare_qlinear(const OpContext& context) {
  return with_byte(context.type(0), [&](auto a) {
    return with_byte(context.type(3), [&](auto b) {
      return with_byte(context.type(7),
                       [&](auto y) { return make_qlinear<decltype(a), decltype(b), decltype(y)>(context); });
    });
  });
}

}  // namespace fastort::matmul
