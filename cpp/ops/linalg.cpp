// Square matrices: Det and com.microsoft's Inverse, by elimination with partial pivoting in double.
#include <algorithm>
#include <cmath>

#include "ops/gpu/fill.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

Shape square_batch(const InferContext& context) {
  Shape batch = context.shape(0);
  if (batch.rank() < 2) context.fail("the input must have at least two dimensions, got " + to_string(batch));
  const Dim rows = batch[batch.size() - 2], cols = batch[batch.size() - 1];
  if (is_known(rows) && is_known(cols) && rows != cols)
    context.fail("the last two dimensions must be equal, got " + to_string(batch, context.symbols));
  batch.erase(batch.size() - 1);
  batch.erase(batch.size() - 1);
  return batch;
}

void infer_det(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  context.out(0, context.type(0), square_batch(context));
}

void infer_inverse(InferContext& context) {
  if (context.has_shape(0)) square_batch(context);
  infer_same(context);
}

// ---- elements ------------------------------------------------------------------------------------------------------

template <class T>
double load(T value) {
  return static_cast<double>(widened(value));
}

template <class T>
void store(double value, T* dst) {
  *dst = rounded<T>(static_cast<Arithmetic<T>>(value));
}

// Exchanges the row below `step` that has the largest element of column `step` with row `step` of a matrix whose rows
// are `width` long; true where rows changed places.
bool pivot(double* a, int64_t n, int64_t width, int64_t step) {
  int64_t best = step;
  for (int64_t row = step + 1; row < n; ++row)
    if (std::abs(a[row * width + step]) > std::abs(a[best * width + step])) best = row;
  if (best == step) return false;
  std::swap_ranges(a + step * width, a + (step + 1) * width, a + best * width);
  return true;
}

double determinant(double* a, int64_t n) {
  double product = 1;
  for (int64_t step = 0; step < n; ++step) {
    if (pivot(a, n, n, step)) product = -product;
    const double diagonal = a[step * n + step];
    product *= diagonal;
    if (diagonal == 0) return product;
    for (int64_t row = step + 1; row < n; ++row) {
      const double factor = a[row * n + step] / diagonal;
      if (factor == 0) continue;
      for (int64_t col = step + 1; col < n; ++col) a[row * n + col] -= factor * a[step * n + col];
    }
  }
  return product;
}

// Turns [A | I] into [I | inverse of A]; a singular matrix gives infinities and NaNs.
void invert(double* a, int64_t n) {
  const int64_t width = 2 * n;
  for (int64_t step = 0; step < n; ++step) {
    pivot(a, n, width, step);
    double* pivot_row = a + step * width;
    const double scale = 1 / pivot_row[step];
    for (int64_t col = step; col < width; ++col) pivot_row[col] *= scale;
    for (int64_t row = 0; row < n; ++row) {
      const double factor = a[row * width + step];
      if (row == step || factor == 0) continue;
      for (int64_t col = step; col < width; ++col) a[row * width + col] -= factor * pivot_row[col];
    }
  }
}

// ---- kernels -------------------------------------------------------------------------------------------------------

template <class F>
std::unique_ptr<Kernel> with_real(const OpContext& context, F&& f) {
  return with_type(FloatList{}, context.node.op_type, context.type(0), f);
}

// A kernel that calls `matrix(i, scratch)` for each matrix, with `width` doubles of scratch for each row.
template <class F>
std::unique_ptr<Kernel> for_each_matrix(const OpContext& context, int64_t width, F matrix) {
  const Shape& shape = context.shape(0);
  const int64_t n = shape[shape.size() - 1], batch = shape.count(0, shape.rank() - 2);
  constexpr int64_t kWork = 32 << 10;  // operations that are worth a thread
  const int64_t worth = std::max<int64_t>(1, kWork / std::max<int64_t>(1, n * n * n));
  const int64_t pieces = std::clamp<int64_t>(batch / worth, 1, context.options.threads);
  const size_t scratch = static_cast<size_t>(n * width) * sizeof(double);
  return make_kernel(
      [=](const KernelArgs& args) {
        args.parallel.chunks(static_cast<int>(pieces), [&](int piece) {
          auto* memory = reinterpret_cast<double*>(args.workspace + static_cast<size_t>(piece) * scratch);
          for (int64_t i = batch * piece / pieces; i < batch * (piece + 1) / pieces; ++i) matrix(args, i, memory);
        });
      },
      scratch * static_cast<size_t>(pieces));
}

std::unique_ptr<Kernel> prepare_det(const OpContext& context) {
  const int64_t n = context.shape(0)[context.shape(0).size() - 1];
  return with_real(context, [&]<class T>(std::type_identity<T>) {
    return for_each_matrix(context, n, [n](const KernelArgs& args, int64_t i, double* a) {
      const T* src = args.in<T>(0) + i * n * n;
      for (int64_t k = 0; k < n * n; ++k) a[k] = load(src[k]);
      store(determinant(a, n), args.out<T>(0) + i);
    });
  });
}

std::unique_ptr<Kernel> prepare_inverse(const OpContext& context) {
  const int64_t n = context.shape(0)[context.shape(0).size() - 1];
  return with_real(context, [&]<class T>(std::type_identity<T>) {
    return for_each_matrix(context, 2 * n, [n](const KernelArgs& args, int64_t i, double* a) {
      const T* src = args.in<T>(0) + i * n * n;
      T* dst = args.out<T>(0) + i * n * n;
      for (int64_t row = 0; row < n; ++row) {
        for (int64_t col = 0; col < n; ++col) {
          a[row * 2 * n + col] = load(src[row * n + col]);
          a[row * 2 * n + n + col] = row == col ? 1 : 0;
        }
      }
      invert(a, n);
      for (int64_t row = 0; row < n; ++row)
        for (int64_t col = 0; col < n; ++col) store(a[row * 2 * n + n + col], dst + row * n + col);
    });
  });
}

// The determinant of nothing.
constexpr float kOne = 1;

Refusal gpu_det(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.shape(0);
  const int64_t n = shape[shape.size() - 1], matrices = context.out(0).shape.count();
  if (n == 0) return gpu::add_fill(work, GpuWork::output(0), matrices, std::as_bytes(std::span(&kOne, 1)), traits);
  // In double where the device has it, as the CPU does.
  const size_t wide = traits.float64 ? sizeof(double) : sizeof(float);
  const GpuOperand room = work.scratch(static_cast<size_t>(shape.count()) * wide);
  GpuDispatch& dispatch = work.dispatch(traits.float64 ? "determinant.double" : "determinant.float");
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::written(room)};
  dispatch.push.u32(matrices).u32(n);
  dispatch.groups = groups_for(matrices, 1, traits);
  dispatch.flops = static_cast<double>(shape.count()) * static_cast<double>(n);
  return std::nullopt;
}

constexpr GpuRecipe kGpuDet{kFloat32, gpu_det, /*takes_empty=*/true};

constexpr Candidate kDet[] = {{"elimination", nullptr, prepare_det}};
constexpr Candidate kInverse[] = {{"elimination", nullptr, prepare_inverse}};

constexpr OpDef kOps[] = {
    {"", "Det", infer_det, kDet, kFloatTypes, kNone, 0, &kGpuDet},
    {"com.microsoft", "Inverse", infer_inverse, kInverse, kFloatTypes},
};

}  // namespace

std::span<const OpDef> linalg_ops() { return kOps; }

}  // namespace fastort
