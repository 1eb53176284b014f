// Operators that order or accumulate along one axis: ArgMax, TopK, CumSum, Hardmax and their kin.
#include "kernels/arg.h"

#include <bit>
#include <cstring>

#include "ops/elementwise/wide.h"
#include "ops/gpu/order.h"

namespace fastort {
namespace {

using kernels::AxisView;

AxisView view_of(const Shape& shape, int axis) {
  if (shape.rank() == 0) return {1, 1, 1};
  return {shape.count(0, axis), shape[static_cast<size_t>(axis)], shape.count(axis + 1, shape.rank())};
}

template <class Context>
int axis_attribute(const Context& context, int64_t fallback, int rank) {
  const int64_t axis = context.attributes().get_int("axis", fallback);
  return rank == 0 ? 0 : normalize_axis(context.node, axis, rank);
}

// ---- ArgMax, ArgMin -----------------------------------------------------------------------------------------------

void infer_arg(InferContext& context) {
  if (!context.has_shape(0)) return context.out(0, DataType::Int64);
  Shape shape = context.shape(0);
  if (shape.rank() == 0) return context.out(0, DataType::Int64, std::move(shape));
  const size_t axis = static_cast<size_t>(axis_attribute(context, 0, shape.rank()));
  if (shape[axis] == 0) context.fail("cannot choose among the 0 elements of axis " + std::to_string(axis));
  if (context.attributes().get_int("keepdims", 1) != 0)
    shape[axis] = 1;
  else
    shape.erase(axis);
  context.out(0, DataType::Int64, std::move(shape));
}

std::unique_ptr<Kernel> prepare_arg(const OpContext& context, kernels::ArgFn arg) {
  const Shape& shape = context.shape(0);
  const AxisView view = view_of(shape, axis_attribute(context, 0, shape.rank()));
  const bool last = context.attributes().get_int("select_last_index", 0) != 0;
  if (!arg) context.fail("is not defined for " + std::string(name(context.type(0))));
  if (view.n == 0 && view.outer * view.inner > 0) context.fail("cannot choose among 0 elements");
  if (view.n == 0) return make_kernel([](const KernelArgs&) {});
  return make_kernel(
      [=](const KernelArgs& args) { arg(view, args.in<std::byte>(0), args.out<int64_t>(0), last, args.parallel); });
}

std::unique_ptr<Kernel> prepare_arg_max(const OpContext& context) {
  return prepare_arg(context, kernels::arg_max(context.type(0)));
}
std::unique_ptr<Kernel> prepare_arg_min(const OpContext& context) {
  return prepare_arg(context, kernels::arg_min(context.type(0)));
}

// ---- TopK ---------------------------------------------------------------------------------------------------------

void infer_top_k(InferContext& context) {
  if (context.has_input(1) && context.type(1) != DataType::Int64 && context.type(1) != DataType::Undefined)
    context.fail("K must be int64");
  if (context.num_outputs() > 0) context.out(0, context.type(0));
  if (context.num_outputs() > 1) context.out(1, DataType::Int64);
  if (!context.has_shape(0)) return;
  Shape shape = context.shape(0);
  if (shape.rank() == 0) context.fail("the input must have at least one dimension");
  const size_t axis = static_cast<size_t>(axis_attribute(context, -1, shape.rank()));
  const std::optional<Shape> k = context.dims(1);
  if (k && k->size() != 1) context.fail("K must have one element, got " + std::to_string(k->size()));
  const Dim size = k ? (*k)[0] : context.unknown();
  if (is_known(size) && is_known(shape[axis]) && size > shape[axis])
    context.fail("K = " + std::to_string(size) + " is more than the " + std::to_string(shape[axis]) +
                 " elements of axis " + std::to_string(axis));
  shape[axis] = size;
  if (context.num_outputs() > 0) context.out(0, context.type(0), shape);
  if (context.num_outputs() > 1) context.out(1, DataType::Int64, shape);
}

std::unique_ptr<Kernel> prepare_top_k(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const AxisView view = view_of(shape, axis_attribute(context, -1, shape.rank()));
  const bool largest = context.attributes().get_int("largest", 1) != 0;
  const InlineVector<int64_t, 8> ks = context.ints(1);
  if (ks.size() != 1 || ks[0] < 0 || ks[0] > view.n)
    context.fail("K must be one number between 0 and " + std::to_string(view.n));
  const int64_t k = ks[0];
  const kernels::TopKFn top_k = kernels::top_k(context.type(0));
  if (!top_k) context.fail("is not defined for " + std::string(name(context.type(0))));
  const bool has_values = context.has_output(0), has_indices = context.has_output(1);
  return make_kernel([=](const KernelArgs& args) {
    top_k(view, k, largest, args.in<std::byte>(0), has_values ? args.out<std::byte>(0) : nullptr,
          has_indices ? args.out<int64_t>(1) : nullptr, args.parallel);
  });
}

// ---- CumSum, CumProd ----------------------------------------------------------------------------------------------

std::unique_ptr<Kernel> prepare_scan(const OpContext& context, bool product) {
  const Shape& shape = context.shape(0);
  const InlineVector<int64_t, 8> axes = context.ints(1);
  if (axes.size() != 1) context.fail("axis must be one number, got " + std::to_string(axes.size()));
  if (shape.rank() == 0) context.fail("the input must have at least one dimension");
  const AxisView view = view_of(shape, normalize_axis(context.node, axes[0], shape.rank()));
  const kernels::Scan scan{.product = product,
                           .exclusive = context.attributes().get_int("exclusive", 0) != 0,
                           .reverse = context.attributes().get_int("reverse", 0) != 0};
  const bool real = is_float(context.type(0));
  const DataType compute = real ? WideArguments::compute_type(context) : context.type(0);
  const kernels::ScanFn run = kernels::scan_along(compute);
  if (!run) context.fail("is not defined for " + std::string(name(context.type(0))));
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  if (!real)
    return make_kernel(
        [=](const KernelArgs& args) { run(view, scan, args.in<std::byte>(0), args.out<std::byte>(0), args.parallel); });
  const WideArguments wide(context, compute);
  return make_kernel(
      [=](const KernelArgs& args) {
        run(view, scan, wide.in<std::byte>(args, 0), wide.out<std::byte>(args, 0), args.parallel);
        wide.finish(args);
      },
      wide.bytes());
}

std::unique_ptr<Kernel> prepare_cum_sum(const OpContext& context) { return prepare_scan(context, false); }
std::unique_ptr<Kernel> prepare_cum_prod(const OpContext& context) { return prepare_scan(context, true); }

// ---- Hardmax ------------------------------------------------------------------------------------------------------

void infer_hardmax(InferContext& context) {
  if (context.has_shape(0)) axis_attribute(context, -1, context.shape(0).rank());
  infer_same(context);
}

std::unique_ptr<Kernel> prepare_hardmax(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const AxisView view = view_of(shape, axis_attribute(context, -1, shape.rank()));
  const DataType type = context.type(0);
  const kernels::ArgFn arg = kernels::arg_max(type);
  if (!arg) context.fail("is not defined for " + std::string(name(type)));
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const int64_t rows = view.outer * view.inner;
  const size_t item = element_size(type);
  uint64_t one = 0;
  auto set_one = [&](auto value) { std::memcpy(&one, &value, sizeof value); };
  if (type == DataType::Double) set_one(1.0);
  if (type == DataType::Float) set_one(1.0f);
  if (type == DataType::Float16) set_one(to_float16(1.0f));
  if (type == DataType::BFloat16) set_one(to_bfloat16(1.0f));
  return make_kernel(
      [=](const KernelArgs& args) {
        int64_t* best = reinterpret_cast<int64_t*>(args.workspace);
        std::byte* dst = args.out<std::byte>(0);
        arg(view, args.in<std::byte>(0), best, false, args.parallel);
        std::memset(dst, 0, static_cast<size_t>(rows * view.n) * item);
        for (int64_t row = 0; row < rows; ++row) {
          const int64_t at = (row / view.inner * view.n + best[row]) * view.inner + row % view.inner;
          std::memcpy(dst + static_cast<size_t>(at) * item, &one, item);
        }
      },
      static_cast<size_t>(rows) * sizeof(int64_t));
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

template <bool smallest>
Refusal gpu_arg(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const AxisView view = view_of(context.shape(0), axis_attribute(context, 0, context.shape(0).rank()));
  const bool last = context.attributes().get_int("select_last_index", 0) != 0;
  return gpu::add_arg(work, context.type(0), view, smallest, last, GpuWork::output(0), traits);
}

Refusal gpu_top_k(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const AxisView view = view_of(context.shape(0), axis_attribute(context, -1, context.shape(0).rank()));
  const InlineVector<int64_t, 8> ks = context.ints(1);
  if (ks.size() != 1 || ks[0] < 0 || ks[0] > view.n)
    context.fail("K must be one number between 0 and " + std::to_string(view.n));
  return gpu::add_top_k(context, work, view, ks[0], context.attributes().get_int("largest", 1) != 0, traits);
}

template <bool product>
Refusal gpu_scan(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.shape(0);
  const InlineVector<int64_t, 8> axes = context.ints(1);
  if (axes.size() != 1 || shape.rank() == 0) return "no single axis";
  const kernels::Scan scan{.product = product,
                           .exclusive = context.attributes().get_int("exclusive", 0) != 0,
                           .reverse = context.attributes().get_int("reverse", 0) != 0};
  return gpu::add_scan(work, context.type(0), view_of(shape, normalize_axis(context.node, axes[0], shape.rank())), scan,
                       traits);
}

// The most extreme element's index, then a one where it is.
Refusal gpu_hardmax(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const AxisView view = view_of(context.shape(0), axis_attribute(context, -1, context.shape(0).rank()));
  const GpuOperand best = work.scratch(static_cast<size_t>(view.outer * view.inner) * sizeof(int64_t));
  if (Refusal refusal = gpu::add_arg(work, context.type(0), view, false, false, GpuWork::written(best), traits))
    return refusal;
  const GpuOperand values = work.table({0, std::bit_cast<uint32_t>(1.0f)});
  return gpu::add_one_hot(work, DataType::Int64, context.type(0), view, best, values, traits);
}

constexpr TypeMask kGpuNumbers = kIntTypes | TypeMask{DataType::Float, DataType::Double};
template <bool smallest>
constexpr GpuRecipe kGpuArg{kGpuNumbers, gpu_arg<smallest>};
constexpr GpuRecipe kGpuTopK{kGpuNumbers, gpu_top_k};
template <bool product>
constexpr GpuRecipe kGpuScan{kGpuNumbers, gpu_scan<product>};
constexpr GpuRecipe kGpuHardmax{kFloat32, gpu_hardmax};

constexpr Candidate kArgMax[] = {{"reference", nullptr, prepare_arg_max}};
constexpr Candidate kArgMin[] = {{"reference", nullptr, prepare_arg_min}};
constexpr Candidate kTopK[] = {{"heap", nullptr, prepare_top_k}};
constexpr Candidate kCumSum[] = {{"reference", nullptr, prepare_cum_sum}};
constexpr Candidate kCumProd[] = {{"reference", nullptr, prepare_cum_prod}};
constexpr Candidate kHardmax[] = {{"reference", nullptr, prepare_hardmax}};

constexpr uint32_t kSecondInput = 1u << 1;

constexpr OpDef kOps[] = {
    {"", "ArgMax", infer_arg, kArgMax, kNumericTypes, kNone, 0, &kGpuArg<false>},
    {"", "ArgMin", infer_arg, kArgMin, kNumericTypes, kNone, 0, &kGpuArg<true>},
    {"", "TopK", infer_top_k, kTopK, kNumericTypes, kNone, kSecondInput, &kGpuTopK},
    {"", "CumSum", infer_same, kCumSum, kNumericTypes, kInPlace, kSecondInput, &kGpuScan<false>},
    {"", "CumProd", infer_same, kCumProd, kNumericTypes, kInPlace, kSecondInput, &kGpuScan<true>},
    {"", "Hardmax", infer_hardmax, kHardmax, kFloatTypes, kNone, 0, &kGpuHardmax},
};

}  // namespace

std::span<const OpDef> arg_ops() { return kOps; }

}  // namespace fastort
