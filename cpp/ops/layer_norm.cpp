// Normalisation of the last dimensions: LayerNormalization, RMSNormalization and com.microsoft's forms with a residual.
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/broadcast.h"
#include "kernels/norm.h"
#include "ops/elementwise/wide.h"
#include "ops/gpu/elementwise.h"
#include "ops/gpu/rows.h"

namespace fastort {
namespace {

using kernels::Binary;
using kernels::BinaryOp;
using kernels::Broadcast;
using kernels::RowNorm;

int first_axis(const Node& node, const Shape& shape) {
  const int rank = shape.rank();
  return rank == 0 ? 0 : normalize_axis(node, node.attributes.get_int("axis", -1), rank);
}

// The shape of the mean: 1 from `axis` on.
Shape statistics_shape(const Shape& shape, int axis) {
  Shape result = shape;
  for (size_t d = static_cast<size_t>(axis); d < result.size(); ++d) result[d] = 1;
  return result;
}

void infer_statistics(InferContext& context, DataType type) {
  for (int i = 1; i < context.num_outputs(); ++i) {
    if (context.has_shape(0))
      context.out(i, type, statistics_shape(context.shape(0), first_axis(context.node, context.shape(0))));
    else
      context.out(i, type);
  }
}

DataType stash_type(const Attributes& attributes) {
  const int64_t type = attributes.get_int("stash_type", 1);
  if (type != static_cast<int64_t>(DataType::Float) && type != static_cast<int64_t>(DataType::Double) &&
      type != static_cast<int64_t>(DataType::BFloat16))
    not_implemented("attribute 'stash_type' = " + std::to_string(type) + " (float, double and bfloat16 are)");
  return static_cast<DataType>(type);
}

void infer_layer_norm(InferContext& context) {
  infer_same(context);
  if (context.has_shape(0)) first_axis(context.node, context.shape(0));
  infer_statistics(context, stash_type(context.attributes()));
}

void infer_rms_norm(InferContext& context) {
  stash_type(context.attributes());
  infer_same(context);
  // The scale's type is the output's.
  context.outputs[0].element = context.type(1);
}

void infer_simplified(InferContext& context) {
  infer_rms_norm(context);
  infer_statistics(context, DataType::Float);
}

// How a scale or bias meets the normalised elements.
enum class Reach { None, Row, Other };

Reach reach(const OpContext& context, int input, int axis) {
  if (!context.has_input(input)) return Reach::None;
  const Shape& x = context.shape(0);
  const Shape& shape = context.shape(input);
  const int lead = x.rank() - shape.rank();
  if (lead < 0)
    context.fail("the shape " + to_string(shape) + " of input " + std::to_string(input) +
                 " does not broadcast to the input's " + to_string(x));
  bool row = true;
  for (int d = 0; d < x.rank(); ++d) {
    const Dim dim = d < lead ? 1 : shape[static_cast<size_t>(d - lead)];
    const Dim of_x = x[static_cast<size_t>(d)];
    if (dim != 1 && dim != of_x)
      context.fail("the shape " + to_string(shape) + " of input " + std::to_string(input) +
                   " does not broadcast to the input's " + to_string(x));
    row = row && dim == (d < axis ? 1 : of_x);
  }
  return row ? Reach::Row : Reach::Other;
}

struct LayerNorm {
  WideArguments wide;
  int64_t rows, n;
  double epsilon;
  bool rms;
  Reach scale_reach, bias_reach;
  Broadcast scale_loops, bias_loops;
  int mean_output, inv_std_output;  // -1: none

  template <class T>
  void apply(const KernelArgs& args, const Broadcast& loops, BinaryOp op, const T* by, T* dst) const {
    const Binary f = *Binary::find(op, kDataTypeOf<T>);
    const Broadcast::Operand operands[] = {{reinterpret_cast<const std::byte*>(dst), sizeof(T)},
                                           {reinterpret_cast<const std::byte*>(by), sizeof(T)}};
    loops.run(args.parallel, 16384, reinterpret_cast<std::byte*>(dst), sizeof(T), operands,
              [&](std::byte* to, const std::byte* const* src, int64_t count) {
                f(loops.is_vector(0), loops.is_vector(1), src[0], src[1], to, count);
              });
  }

  template <class T>
  void run(const KernelArgs& args) const {
    RowNorm<T> norm;
    norm.src = wide.in<T>(args, 0);
    norm.dst = wide.out<T>(args, 0);
    const T* scale = scale_reach == Reach::None ? nullptr : wide.in<T>(args, 1);
    const T* bias = bias_reach == Reach::None ? nullptr : wide.in<T>(args, 2);
    const bool scale_in_row = scale_reach == Reach::Row;
    const bool bias_in_row = bias_reach == Reach::Row && scale_in_row;
    if (scale_in_row) norm.scale = scale;
    if (bias_in_row) norm.bias = bias;
    if (mean_output >= 0) norm.mean = wide.out<T>(args, mean_output);
    if (inv_std_output >= 0) norm.inv_std = wide.out<T>(args, inv_std_output);
    norm.rows = rows;
    norm.n = n;
    norm.epsilon = static_cast<T>(epsilon);
    norm.rms = rms;
    kernels::normalize_rows(norm, args.parallel);
    if (scale && !scale_in_row) apply(args, scale_loops, BinaryOp::Mul, scale, norm.dst);
    if (bias && !bias_in_row) apply(args, bias_loops, BinaryOp::Add, bias, norm.dst);
    wide.finish(args);
  }
};

std::unique_ptr<Kernel> prepare_layer(const OpContext& context, bool rms, bool has_bias, int mean_output,
                                      int inv_std_output) {
  const Shape& shape = context.shape(0);
  const int axis = first_axis(context.node, shape);
  const DataType compute = WideArguments::compute_type(context);
  LayerNorm norm{.wide = WideArguments(context, compute),
                 .rows = shape.count(0, axis),
                 .n = shape.count(axis, shape.rank()),
                 .epsilon = context.attributes().get_float("epsilon", 1e-5f),
                 .rms = rms,
                 .scale_reach = reach(context, 1, axis),
                 .bias_reach = has_bias ? reach(context, 2, axis) : Reach::None,
                 .scale_loops = {},
                 .bias_loops = {},
                 .mean_output = mean_output >= 0 && context.has_output(mean_output) ? mean_output : -1,
                 .inv_std_output = inv_std_output >= 0 && context.has_output(inv_std_output) ? inv_std_output : -1};
  for (int i = 1; i < context.num_inputs(); ++i)
    if (context.has_input(i) && !is_float(context.type(i)))
      context.fail("scale and bias must be floating-point numbers, got " + std::string(name(context.type(i))));
  auto loops = [&](int input) {
    const Shape shapes[] = {shape, context.shape(input)};
    return Broadcast::of(shape, shapes);
  };
  if (norm.scale_reach == Reach::Other) norm.scale_loops = loops(1);
  if (norm.bias_reach != Reach::None && (norm.bias_reach == Reach::Other || norm.scale_reach != Reach::Row))
    norm.bias_loops = loops(2);
  const size_t bytes = norm.wide.bytes();
  return make_kernel(
      [norm = std::move(norm), compute](const KernelArgs& args) {
        compute == DataType::Double ? norm.run<double>(args) : norm.run<float>(args);
      },
      bytes);
}

std::unique_ptr<Kernel> prepare_layer_norm(const OpContext& context) {
  return prepare_layer(context, false, true, 1, 2);
}
std::unique_ptr<Kernel> prepare_rms_norm(const OpContext& context) {
  return prepare_layer(context, true, false, -1, -1);
}
std::unique_ptr<Kernel> prepare_simplified(const OpContext& context) {
  return prepare_layer(context, true, false, -1, 1);
}

// ---- with a residual: inputs input, skip, gamma, [beta,] bias; outputs Y, mean, inverse deviation, the sum ---------

void infer_skip(InferContext& context) {
  infer_same(context);
  for (int i = 1; i < std::min(3, context.num_outputs()); ++i) {
    if (context.has_shape(0))
      context.out(i, DataType::Float, statistics_shape(context.shape(0), context.shape(0).rank() - 1));
    else
      context.out(i, DataType::Float);
  }
  if (context.num_outputs() > 3) context.outputs[3] = context.in(0);
}

struct SkipNorm {
  WideArguments wide;
  int64_t count, n, skip_count;
  double epsilon;
  bool rms;
  int beta_input, bias_input;  // -1: none
  bool has_mean, has_inv_std, has_sum;

  template <class T>
  void run(const KernelArgs& args) const {
    T* dst = wide.out<T>(args, 0);
    T* sum = has_sum ? wide.out<T>(args, 3) : dst;
    const T* bias = bias_input >= 0 ? wide.in<T>(args, bias_input) : nullptr;
    kernels::add_rows(wide.in<T>(args, 0), wide.in<T>(args, 1), skip_count, bias, n, sum, count, args.parallel);
    RowNorm<T> norm;
    norm.src = sum;
    norm.dst = dst;
    norm.scale = wide.in<T>(args, 2);
    norm.bias = beta_input >= 0 ? wide.in<T>(args, beta_input) : nullptr;
    norm.mean = has_mean ? wide.out<T>(args, 1) : nullptr;
    norm.inv_std = has_inv_std ? wide.out<T>(args, 2) : nullptr;
    norm.rows = n == 0 ? 0 : count / n;
    norm.n = n;
    norm.epsilon = static_cast<T>(epsilon);
    norm.rms = rms;
    if (count > 0) kernels::normalize_rows(norm, args.parallel);
    wide.finish(args);
  }
};

std::unique_ptr<Kernel> prepare_skip(const OpContext& context, bool rms) {
  const Shape& shape = context.shape(0);
  if (shape.rank() < 1) context.fail("the input must have at least one dimension");
  if (!context.has_input(1) || !context.has_input(2)) context.fail("skip and gamma are required");
  const int64_t n = shape.back();
  const int64_t count = shape.count(), skip_count = context.shape(1).count();
  const int beta = rms ? -1 : 3, bias = rms ? 3 : 4;
  if (count > 0 && (skip_count == 0 || count % skip_count != 0 || skip_count % n != 0))
    context.fail("skip " + to_string(context.shape(1)) + " does not repeat along the input " + to_string(shape));
  for (int i = 2; i < context.num_inputs(); ++i) {
    if (context.has_input(i) && context.shape(i).count() != n)
      context.fail("input " + std::to_string(i) + " must have " + std::to_string(n) + " elements, got " +
                   to_string(context.shape(i)));
  }
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && !is_float(context.type(i)))
      context.fail("inputs must be floating-point numbers, got " + std::string(name(context.type(i))));
  const DataType compute = WideArguments::compute_type(context);
  SkipNorm norm{.wide = WideArguments(context, compute),
                .count = count,
                .n = n,
                .skip_count = skip_count,
                .epsilon = context.attributes().get_float("epsilon", 1e-12f),
                .rms = rms,
                .beta_input = beta >= 0 && context.has_input(beta) ? beta : -1,
                .bias_input = context.has_input(bias) ? bias : -1,
                .has_mean = context.has_output(1),
                .has_inv_std = context.has_output(2),
                .has_sum = context.has_output(3)};
  if (rms && norm.has_mean) context.fail("has no mean to give");
  const size_t bytes = norm.wide.bytes();
  return make_kernel(
      [norm = std::move(norm), compute](const KernelArgs& args) {
        compute == DataType::Double ? norm.run<double>(args) : norm.run<float>(args);
      },
      bytes);
}

std::unique_ptr<Kernel> prepare_skip_layer(const OpContext& context) { return prepare_skip(context, false); }
std::unique_ptr<Kernel> prepare_skip_simplified(const OpContext& context) { return prepare_skip(context, true); }

// ---- the GPU ------------------------------------------------------------------------------------------------------

Refusal refuse_types(const OpContext& context) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != DataType::Float) return "inputs of other types than float32";
  for (int i = 0; i < context.num_outputs(); ++i)
    if (context.has_output(i) && context.out(i).type != DataType::Float) return "outputs of other types than float32";
  return std::nullopt;
}

// `mean` and `inv_std`: the outputs that hold them, -1 for none.
template <bool rms, int mean, int inv_std>
Refusal gpu_layer(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_types(context)) return refusal;
  const Shape& shape = context.shape(0);
  const int axis = first_axis(context.node, shape);
  const Reach scale = reach(context, 1, axis), bias = rms ? Reach::None : reach(context, 2, axis);
  // What does not repeat with the rows is applied behind them.
  const bool scale_after = scale == Reach::Other;
  const bool bias_after = bias == Reach::Other || (bias == Reach::Row && scale_after);
  gpu::Norm norm;
  norm.rows = shape.count(0, axis);
  norm.n = shape.count(axis, shape.rank());
  norm.rms = rms;
  norm.epsilon = context.attributes().get_float("epsilon", 1e-5f);
  const GpuOperand rows =
      scale_after || bias_after ? work.scratch(static_cast<size_t>(shape.count()) * sizeof(float)) : GpuOperand{};
  norm.y = scale_after || bias_after ? GpuWork::written(rows) : GpuWork::output(0);
  norm.x = GpuWork::input(0);
  if (scale == Reach::Row) norm.scale = GpuWork::input(1);
  if (bias == Reach::Row && !bias_after) norm.bias = GpuWork::input(2);
  if (mean >= 0 && context.has_output(mean)) norm.mean = GpuWork::output(mean);
  if (inv_std >= 0 && context.has_output(inv_std)) norm.inv_std = GpuWork::output(inv_std);
  gpu::add_norm(work, norm, traits);
  std::vector<gpu::Step> steps;
  if (scale_after) steps.push_back(gpu::Step::binary(BinaryOp::Mul, gpu::input(0), gpu::input(1)));
  if (bias_after) steps.push_back(gpu::Step::binary(BinaryOp::Add, steps.empty() ? gpu::input(0) : 0, gpu::input(2)));
  if (steps.empty()) return std::nullopt;
  if (Refusal refusal = gpu::elementwise(context, traits, work, steps)) return refusal;
  for (GpuOperand& operand : work.dispatches.back().operands)
    if (operand.kind == GpuOperand::Kind::Input && operand.index == 0) operand = rows;
  return std::nullopt;
}

template <bool rms>
Refusal gpu_skip(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_types(context)) return refusal;
  // Checks the shapes.
  static_cast<void>(prepare_skip(context, rms));
  const Shape& shape = context.shape(0);
  const int beta = rms ? -1 : 3, bias = rms ? 3 : 4;
  gpu::Norm norm;
  norm.n = shape.back();
  norm.rows = shape.count() / norm.n;
  norm.rms = rms;
  norm.epsilon = context.attributes().get_float("epsilon", 1e-12f);
  norm.skip_count = context.shape(1).count();
  norm.y = GpuWork::output(0);
  norm.x = GpuWork::input(0);
  norm.skip = GpuWork::input(1);
  norm.scale = GpuWork::input(2);
  if (beta >= 0 && context.has_input(beta)) norm.bias = GpuWork::input(beta);
  if (context.has_input(bias)) norm.skip_bias = GpuWork::input(bias);
  if (context.has_output(1)) norm.mean = GpuWork::output(1);
  if (context.has_output(2)) norm.inv_std = GpuWork::output(2);
  if (context.has_output(3)) norm.sum = GpuWork::output(3);
  gpu::add_norm(work, norm, traits);
  return std::nullopt;
}

template <GpuFn work>
constexpr GpuRecipe kGpu{kFloat32, work};

constexpr Candidate kLayerNorm[] = {{"rows", nullptr, prepare_layer_norm}};
constexpr Candidate kRmsNorm[] = {{"rows", nullptr, prepare_rms_norm}};
constexpr Candidate kSimplified[] = {{"rows", nullptr, prepare_simplified}};
constexpr Candidate kSkipLayer[] = {{"rows", nullptr, prepare_skip_layer}};
constexpr Candidate kSkipSimplified[] = {{"rows", nullptr, prepare_skip_simplified}};

constexpr OpDef kOps[] = {
    {"", "LayerNormalization", infer_layer_norm, kLayerNorm, kFloatTypes, kNone, 0, &kGpu<gpu_layer<false, 1, 2>>},
    {"", "RMSNormalization", infer_rms_norm, kRmsNorm, kFloatTypes, kNone, 0, &kGpu<gpu_layer<true, -1, -1>>},
    {"", "SimplifiedLayerNormalization", infer_simplified, kSimplified, kFloatTypes, kNone, 0,
     &kGpu<gpu_layer<true, -1, 1>>},
    {"com.microsoft", "SimplifiedLayerNormalization", infer_simplified, kSimplified, kFloatTypes, kNone, 0,
     &kGpu<gpu_layer<true, -1, 1>>},
    {"com.microsoft", "SkipLayerNormalization", infer_skip, kSkipLayer, kFloatTypes, kNone, 0, &kGpu<gpu_skip<false>>},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", infer_skip, kSkipSimplified, kFloatTypes, kNone, 0,
     &kGpu<gpu_skip<true>>},
};

}  // namespace

std::span<const OpDef> layer_norm_ops() { return kOps; }

}  // namespace fastort
