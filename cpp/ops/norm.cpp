// Normalisation with statistics of channels, groups and other sets: BatchNormalization and its kin.
#include "kernels/norm.h"

#include <cmath>
#include <cstring>

#include "kernels/elementwise/unary.h"
#include "ops/core/move.h"
#include "ops/elementwise/operands.h"
#include "ops/elementwise/wide.h"
#include "ops/gpu/elementwise.h"
#include "ops/gpu/move.h"
#include "ops/gpu/rows.h"

namespace fastort {
namespace {

void check_channels(const OpContext& context, int first, int last, int64_t channels) {
  for (int i = first; i < last; ++i)
    if (!context.has_input(i)) context.fail("input " + std::to_string(i) + " is missing");
  for (int i = first; i < last; ++i)
    if (context.shape(i).count() != channels)
      context.fail("input " + std::to_string(i) + " must have one element for each of the " + std::to_string(channels) +
                   " channels, got " + to_string(context.shape(i)));
  for (int i = first; i < last; ++i)
    if (!is_float(context.type(i)))
      context.fail("input " + std::to_string(i) + " must hold floating-point numbers, got " +
                   std::string(name(context.type(i))));
}

// A kernel for the type that it computes in: `run` is called with a float or a double.
template <class Params>
std::unique_ptr<Kernel> by_type(DataType compute, Params params, size_t workspace) {
  return make_kernel(
      [compute, params = std::move(params)](const KernelArgs& args) {
        compute == DataType::Double ? params.template run<double>(args) : params.template run<float>(args);
      },
      workspace);
}

// ---- BatchNormalization -------------------------------------------------------------------------------------------

void infer_batch_norm(InferContext& context) {
  infer_same(context);
  const bool training = context.attributes().get_int("training_mode", 0) != 0;
  if (!training && context.num_outputs() > 1) context.fail("outputs beyond Y exist only with training_mode = 1");
  for (int i = 1; i < context.num_outputs(); ++i) {
    if (context.has_shape(3))
      context.out(i, context.type(3), context.shape(3));
    else
      context.out(i, context.type(3));
  }
}

struct BatchNorm {
  WideArguments wide;
  // The elements as [n][groups][rows][width]: a group has `width` channels.
  int64_t batch, groups, rows, width, channels;
  double epsilon, momentum;
  bool training, relu;
  size_t parameters_at;

  template <class T>
  void run(const KernelArgs& args) const {
    const T* x = wide.in<T>(args, 0);
    const T* scale = wide.in<T>(args, 1);
    const T* bias = wide.in<T>(args, 2);
    const T* mean = wide.in<T>(args, 3);
    const T* variance = wide.in<T>(args, 4);
    T* dst = wide.out<T>(args, 0);
    const int64_t padded = groups * width;
    T* centre = reinterpret_cast<T*>(args.workspace + parameters_at);
    T* factor = centre + padded;
    T* shift = factor + padded;
    std::fill(centre, centre + 3 * padded, T(0));
    for (int64_t c = 0; c < channels; ++c) {
      double m = static_cast<double>(mean[c]), v = static_cast<double>(variance[c]);
      if (training) {
        const kernels::Moments batch_moments = channel_moments(x, c);
        if (T* running = wide.out<T>(args, 1))
          running[c] = static_cast<T>(m * momentum + batch_moments.mean * (1 - momentum));
        if (T* running = wide.out<T>(args, 2))
          running[c] = static_cast<T>(v * momentum + batch_moments.variance * (1 - momentum));
        m = batch_moments.mean;
        v = batch_moments.variance;
      }
      centre[c] = static_cast<T>(m);
      factor[c] = static_cast<T>(static_cast<double>(scale[c]) / std::sqrt(v + epsilon));
      shift[c] = bias[c];
    }
    // What the activation reads again is still in the cache.
    const int64_t piece = relu ? std::max<int64_t>(1, 4096 / width) : rows;
    args.parallel.range(batch * groups * rows, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end;) {
        const int64_t n = std::min({rows - at % rows, end - at, piece});
        const int64_t c = at / rows % groups * width;
        const T* from = x + at * width;
        T* to = dst + at * width;
        if (width == 1)
          kernels::affine(from, to, n, centre[c], factor[c], shift[c]);
        else
          write_rows(from, to, n, centre + c, factor + c, shift + c);
        if (relu) rectify(to, n * width);
        at += n;
      }
    });
    wide.finish(args);
  }

  static void rectify(float* x, int64_t n) { kernels::unary_f32(kernels::UnaryOp::Relu)(x, x, n, {}); }
  static void rectify(double* x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? 0 : x[i];
  }

  // Plain tensors only, where a group is a channel (or, for rank 2, a row holds all of them).
  template <class T>
  kernels::Moments channel_moments(const T* x, int64_t c) const {
    double sum = 0;
    const double count = static_cast<double>(batch * rows);
    auto each = [&](auto f) {
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t r = 0; r < rows; ++r)
          f(static_cast<double>(width == 1 ? x[(b * groups + c) * rows + r] : x[(b * rows + r) * width + c]));
    };
    each([&](double v) { sum += v; });
    const double mean = sum / count;
    double squares = 0;
    each([&](double v) { squares += (v - mean) * (v - mean); });
    return {mean, squares / count};
  }

  void write_rows(const float* src, float* dst, int64_t n, const float* m, const float* f, const float* s) const {
    kernels::affine_rows(src, dst, n, width, m, f, s);
  }
  void write_rows(const double* src, double* dst, int64_t n, const double* m, const double* f, const double* s) const {
    for (int64_t i = 0; i < n * width; ++i) dst[i] = (src[i] - m[i % width]) * f[i % width] + s[i % width];
  }
};

Refusal refuse_batch_norm(const OpContext& context) {
  if (context.in(0).layout != context.out(0).layout) return "input and output in different layouts";
  if (context.in(0).layout != Layout::Plain && context.attributes().get_int("training_mode", 0) != 0)
    return "training mode needs the plain layout";
  return std::nullopt;
}

std::unique_ptr<Kernel> prepare_batch_norm(const OpContext& context) {
  const TensorDesc& x = context.in(0);
  const Shape& shape = x.shape;
  if (shape.rank() < 1) context.fail("the input must have at least one dimension");
  const int rank = shape.rank();
  const int64_t channels = rank == 1 ? 1 : shape[1];
  check_channels(context, 1, 5, channels);
  const DataType compute = WideArguments::compute_type(context);
  const int block = channel_block(x.layout);
  BatchNorm norm{.wide = WideArguments(context, compute),
                 .batch = shape[0],
                 .groups = 1,
                 .rows = rank > 2 ? shape.count(2, rank) : 1,
                 .width = channels,
                 .channels = channels,
                 .epsilon = context.attributes().get_float("epsilon", 1e-5f),
                 .momentum = context.attributes().get_float("momentum", 0.9f),
                 .training = context.attributes().get_int("training_mode", 0) != 0,
                 .relu = false,
                 .parameters_at = 0};
  const std::string activation = context.attributes().get_string("activation", "");
  if (!activation.empty() && activation != "Relu") not_implemented("the activation '" + activation + "'");
  norm.relu = !activation.empty();
  if (x.layout != Layout::Nhwc && rank > 2) {
    norm.groups = (channels + block - 1) / block;
    norm.width = block;
  }
  norm.parameters_at = norm.wide.bytes();
  const size_t parameters = static_cast<size_t>(3 * norm.groups * norm.width) * element_size(compute);
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const size_t bytes = norm.parameters_at + parameters;
  return by_type(compute, std::move(norm), bytes);
}

// ---- InstanceNormalization, GroupNormalization --------------------------------------------------------------------

struct GroupNorm {
  WideArguments wide;
  int64_t batch, channels, groups, spatial;
  double epsilon;

  template <class T>
  void run(const KernelArgs& args) const {
    const T* x = wide.in<T>(args, 0);
    const T* scale = wide.in<T>(args, 1);
    const T* bias = wide.in<T>(args, 2);
    T* dst = wide.out<T>(args, 0);
    const int64_t each = channels / groups, n = each * spatial;
    args.parallel.range(batch * groups, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const kernels::Moments moments = kernels::moments(x + row * n, n);
        const double inv_std = 1 / std::sqrt(moments.variance + epsilon);
        for (int64_t k = 0; k < each; ++k) {
          const int64_t c = row % groups * each + k;
          const int64_t at = row * n + k * spatial;
          kernels::affine(x + at, dst + at, spatial, static_cast<T>(moments.mean),
                          static_cast<T>(inv_std * static_cast<double>(scale[c])), bias[c]);
        }
      }
    });
    wide.finish(args);
  }
};

std::unique_ptr<Kernel> prepare_groups(const OpContext& context, int64_t groups) {
  const Shape& shape = context.shape(0);
  const int64_t channels = shape[1];
  if (groups <= 0 || channels % groups != 0)
    context.fail("num_groups = " + std::to_string(groups) + " does not divide the " + std::to_string(channels) +
                 " channels");
  check_channels(context, 1, 3, channels);
  const DataType compute = WideArguments::compute_type(context);
  GroupNorm norm{.wide = WideArguments(context, compute),
                 .batch = shape[0],
                 .channels = channels,
                 .groups = groups,
                 .spatial = shape.count(2, shape.rank()),
                 .epsilon = context.attributes().get_float("epsilon", 1e-5f)};
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const size_t bytes = norm.wide.bytes();
  return by_type(compute, std::move(norm), bytes);
}

std::unique_ptr<Kernel> prepare_instance_norm(const OpContext& context) {
  if (context.shape(0).rank() < 2) context.fail("the input must have a batch and a channel dimension");
  return context.shape(0)[1] == 0 ? make_kernel([](const KernelArgs&) {})
                                  : prepare_groups(context, context.shape(0)[1]);
}

std::unique_ptr<Kernel> prepare_group_norm(const OpContext& context) {
  if (context.shape(0).rank() < 2) context.fail("the input must have a batch and a channel dimension");
  return prepare_groups(context, context.attributes().get_int("num_groups"));
}

// ---- LpNormalization ----------------------------------------------------------------------------------------------

struct LpNorm {
  WideArguments wide;
  int64_t outer, n, inner, p;

  template <class T>
  void run(const KernelArgs& args) const {
    const T* x = wide.in<T>(args, 0);
    T* dst = wide.out<T>(args, 0);
    args.parallel.range(outer * inner, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t offset = at / inner * n * inner + at % inner;
        double norm = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double v = static_cast<double>(x[offset + i * inner]);
          norm += p == 1 ? std::abs(v) : v * v;
        }
        if (p == 2) norm = std::sqrt(norm);
        for (int64_t i = 0; i < n; ++i) {
          const double v = static_cast<double>(x[offset + i * inner]);
          dst[offset + i * inner] = norm == 0 ? T(0) : static_cast<T>(v / norm);
        }
      }
    });
    wide.finish(args);
  }
};

std::unique_ptr<Kernel> prepare_lp_norm(const OpContext& context) {
  const Shape& shape = context.shape(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", -1), shape.rank());
  const int64_t p = context.attributes().get_int("p", 2);
  if (p != 1 && p != 2) context.fail("attribute 'p' must be 1 or 2, got " + std::to_string(p));
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const DataType compute = WideArguments::compute_type(context);
  LpNorm norm{.wide = WideArguments(context, compute),
              .outer = shape.count(0, axis),
              .n = shape[static_cast<size_t>(axis)],
              .inner = shape.count(axis + 1, shape.rank()),
              .p = p};
  const size_t bytes = norm.wide.bytes();
  return by_type(compute, std::move(norm), bytes);
}

// ---- MeanVarianceNormalization ------------------------------------------------------------------------------------

struct MeanVariance {
  WideArguments wide;
  std::vector<int64_t> kept, reduced;  // offsets of the first elements, and of the elements from there

  template <class T>
  void run(const KernelArgs& args) const {
    const T* x = wide.in<T>(args, 0);
    T* dst = wide.out<T>(args, 0);
    const double n = static_cast<double>(reduced.size());
    args.parallel.range(static_cast<int64_t>(kept.size()), std::max<int64_t>(1, 8192 / static_cast<int64_t>(n)),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t k = begin; k < end; ++k) {
                            const int64_t at = kept[static_cast<size_t>(k)];
                            double sum = 0, squares = 0;
                            for (int64_t i : reduced) sum += static_cast<double>(x[at + i]);
                            const double mean = sum / n;
                            for (int64_t i : reduced) {
                              const double v = static_cast<double>(x[at + i]) - mean;
                              squares += v * v;
                            }
                            const double deviation = std::sqrt(squares / n) + 1e-9;
                            for (int64_t i : reduced)
                              dst[at + i] = static_cast<T>((static_cast<double>(x[at + i]) - mean) / deviation);
                          }
                        });
    wide.finish(args);
  }
};

std::vector<int64_t> offsets(const Shape& shape, const std::vector<bool>& chosen, bool which) {
  const Shape strides = contiguous_strides(shape);
  std::vector<int64_t> result{0};
  for (size_t d = 0; d < shape.size(); ++d) {
    if (chosen[d] != which) continue;
    std::vector<int64_t> next;
    next.reserve(result.size() * static_cast<size_t>(shape[d]));
    for (int64_t base : result)
      for (int64_t i = 0; i < shape[d]; ++i) next.push_back(base + i * strides[d]);
    result = std::move(next);
  }
  return result;
}

std::unique_ptr<Kernel> prepare_mean_variance(const OpContext& context) {
  const Shape& shape = context.shape(0);
  std::vector<bool> chosen(shape.size(), false);
  for (int64_t axis : context.attributes().get_ints("axes", {0, 2, 3}))
    chosen[static_cast<size_t>(normalize_axis(context.node, axis, shape.rank()))] = true;
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const DataType compute = WideArguments::compute_type(context);
  MeanVariance norm{.wide = WideArguments(context, compute),
                    .kept = offsets(shape, chosen, false),
                    .reduced = offsets(shape, chosen, true)};
  const size_t bytes = norm.wide.bytes();
  return by_type(compute, std::move(norm), bytes);
}

// ---- LRN ----------------------------------------------------------------------------------------------------------

struct LocalResponse {
  WideArguments wide;
  int64_t batch, channels, spatial, before, after;
  double alpha_over_size, beta, bias;

  template <class T>
  T power(T base) const {
    if (beta == 0.75) return std::sqrt(base) * std::sqrt(std::sqrt(base));
    if (beta == 0.5) return std::sqrt(base);
    if (beta == 1) return base;
    return std::pow(base, static_cast<T>(beta));
  }

  template <class T>
  void run(const KernelArgs& args) const {
    const T* x = wide.in<T>(args, 0);
    T* dst = wide.out<T>(args, 0);
    args.parallel.range(batch * channels, std::max<int64_t>(1, 2048 / spatial), [&](int64_t begin, int64_t end) {
      constexpr int64_t kBlock = 256;
      T squares[kBlock];
      for (int64_t row = begin; row < end; ++row) {
        const int64_t c = row % channels;
        const int64_t first = std::max<int64_t>(0, c - before), last = std::min(channels - 1, c + after);
        for (int64_t s = 0; s < spatial; s += kBlock) {
          const int64_t n = std::min(kBlock, spatial - s);
          std::fill_n(squares, n, T(0));
          for (int64_t k = first; k <= last; ++k) {
            const T* from = x + (row - c + k) * spatial + s;
            for (int64_t i = 0; i < n; ++i) squares[i] += from[i] * from[i];
          }
          const T* from = x + row * spatial + s;
          T* to = dst + row * spatial + s;
          for (int64_t i = 0; i < n; ++i)
            to[i] = from[i] / power(static_cast<T>(bias) + static_cast<T>(alpha_over_size) * squares[i]);
        }
      }
    });
    wide.finish(args);
  }
};

std::unique_ptr<Kernel> prepare_lrn(const OpContext& context) {
  const Shape& shape = context.shape(0);
  if (shape.rank() < 2) context.fail("the input must have a batch and a channel dimension");
  const Attributes& attributes = context.attributes();
  const int64_t size = attributes.get_int("size");
  if (size <= 0) context.fail("attribute 'size' must be positive, got " + std::to_string(size));
  if (shape.count() == 0) return make_kernel([](const KernelArgs&) {});
  const DataType compute = WideArguments::compute_type(context);
  LocalResponse norm{
      .wide = WideArguments(context, compute),
      .batch = shape[0],
      .channels = shape[1],
      .spatial = shape.count(2, shape.rank()),
      .before = (size - 1) / 2,
      .after = size / 2,
      .alpha_over_size = static_cast<double>(attributes.get_float("alpha", 1e-4f)) / static_cast<double>(size),
      .beta = attributes.get_float("beta", 0.75f),
      .bias = attributes.get_float("bias", 1.0f)};
  const size_t bytes = norm.wide.bytes();
  return by_type(compute, std::move(norm), bytes);
}

void infer_lp_norm(InferContext& context) {
  if (context.has_shape(0)) normalize_axis(context, context.attributes().get_int("axis", -1), context.shape(0).rank());
  infer_same(context);
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

Refusal refuse_other_types(const OpContext& context) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != DataType::Float) return "inputs of other types than float32";
  return std::nullopt;
}

// By the mean and variance of the batch.
Refusal gpu_training(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  for (int i = 1; i < 5; ++i)
    if (context.type(i) != context.type(0)) return "parameters of another type than the input";
  const Shape& shape = context.shape(0);
  const int64_t channels = shape[1], pixels = shape.count(2, shape.rank());
  uint32_t outputs = 0;
  for (int i = 0; i < 2; ++i)
    if (context.has_output(i + 1)) outputs |= 1u << i;
  const auto output = [&](int i) { return context.has_output(i) ? GpuWork::output(i) : GpuWork::none(); };
  GpuDispatch& dispatch = work.dispatch("batch_norm_training");
  dispatch.constants = {outputs, context.attributes().get_string("activation", "").empty() ? 0u : 1u};
  dispatch.operands = {GpuWork::output(0), output(1),         output(2),         GpuWork::input(0),
                       GpuWork::input(1),  GpuWork::input(2), GpuWork::input(3), GpuWork::input(4)};
  dispatch.push.u32(channels).u32(shape[0]).u32(pixels).f32(context.attributes().get_float("epsilon", 1e-5f));
  dispatch.push.f32(context.attributes().get_float("momentum", 0.9f));
  dispatch.groups = groups_for(channels, 1, traits);
  return std::nullopt;
}

// (x - mean) / sqrt(variance + epsilon) * scale + bias as one pass over the elements.
Refusal gpu_batch_norm(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const std::string activation = context.attributes().get_string("activation", "");
  if (!activation.empty() && activation != "Relu") return "the activation '" + activation + "'";
  const Shape& shape = context.shape(0);
  if (shape.rank() < 2) return "no dimension of channels";
  check_channels(context, 1, 5, shape[1]);
  if (context.attributes().get_int("training_mode", 0) != 0) return gpu_training(context, traits, work);
  using gpu::Step;
  using kernels::BinaryOp;
  using kernels::UnaryOp;
  const float epsilon = context.attributes().get_float("epsilon", 1e-5f);
  std::vector<Step> steps{Step::unary(UnaryOp::Affine, gpu::input(4), {1, epsilon}),
                          Step::unary(UnaryOp::Sqrt, 0),
                          Step::binary(BinaryOp::Sub, gpu::input(0), gpu::input(3)),
                          Step::binary(BinaryOp::Div, 1, 0),
                          Step::binary(BinaryOp::Mul, 0, gpu::input(1)),
                          Step::binary(BinaryOp::Add, 0, gpu::input(2))};
  steps[2].to = 1;
  if (!activation.empty()) steps.push_back(Step::unary(UnaryOp::Relu, 0));
  // The numbers of the channels, as if they had spatial dimensions.
  Shape channels(shape.size() - 1, 1);
  channels[0] = shape[1];
  const std::vector<Shape> shapes{shape, channels, channels, channels, channels};
  return gpu::elementwise(context, traits, work, steps, shapes);
}

Refusal gpu_groups(const OpContext& context, int64_t groups, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_other_types(context)) return refusal;
  const Shape& shape = context.shape(0);
  const int64_t channels = shape[1];
  if (groups <= 0 || channels % groups != 0) return "groups that do not divide the channels";
  check_channels(context, 1, 3, channels);
  gpu::Norm norm;
  norm.rows = shape[0] * groups;
  norm.n = shape.count() / norm.rows;
  norm.epsilon = context.attributes().get_float("epsilon", 1e-5f);
  norm.scale_step = shape.count(2, shape.rank());
  norm.scale_period = channels;
  norm.y = GpuWork::output(0);
  norm.x = GpuWork::input(0);
  norm.scale = GpuWork::input(1);
  norm.bias = GpuWork::input(2);
  gpu::add_norm(work, norm, traits);
  return std::nullopt;
}

Refusal gpu_instance_norm(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (context.shape(0).rank() < 2) return "no dimension of channels";
  return gpu_groups(context, context.shape(0)[1], traits, work);
}

Refusal gpu_group_norm(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (context.shape(0).rank() < 2) return "no dimension of channels";
  return gpu_groups(context, context.attributes().get_int("num_groups"), traits, work);
}

Refusal gpu_lrn(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.shape(0);
  if (shape.rank() < 2) context.fail("the input must have a batch and a channel dimension");
  const Attributes& attributes = context.attributes();
  const int64_t size = attributes.get_int("size");
  if (size <= 0) context.fail("attribute 'size' must be positive, got " + std::to_string(size));
  const int64_t count = shape.count();
  GpuDispatch& dispatch = work.dispatch("lrn");
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  dispatch.push.u32(count).u32(shape[1]).u32(shape.count(2, shape.rank()));
  dispatch.push.u32(std::min((size - 1) / 2, shape[1])).u32(std::min(size / 2, shape[1]));
  dispatch.push.f32(attributes.get_float("alpha", 1e-4f) / static_cast<float>(size));
  dispatch.push.f32(attributes.get_float("beta", 0.75f)).f32(attributes.get_float("bias", 1.0f));
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}

Refusal gpu_lp_norm(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.shape(0);
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", -1), shape.rank());
  const int64_t p = context.attributes().get_int("p", 2);
  if (p != 1 && p != 2) context.fail("attribute 'p' must be 1 or 2, got " + std::to_string(p));
  gpu::add_rows(work, "lp_norm", gpu::rows_along(shape, axis), {static_cast<uint32_t>(p)},
                {GpuWork::output(0), GpuWork::input(0)}, traits);
  return std::nullopt;
}

// Rows of what is reduced, which lie dense only where the axes are the last ones.
Refusal gpu_mean_variance(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& shape = context.shape(0);
  std::vector<bool> chosen(shape.size(), false);
  for (int64_t axis : context.attributes().get_ints("axes", {0, 2, 3}))
    chosen[static_cast<size_t>(normalize_axis(context.node, axis, shape.rank()))] = true;
  std::vector<size_t> order;
  for (const bool reduced : {false, true})
    for (size_t d = 0; d < shape.size(); ++d)
      if (chosen[d] == reduced) order.push_back(d);
  const Shape strides = contiguous_strides(shape);
  Shape dims;
  kernels::Strides from;
  int64_t rows = 1;
  for (const size_t d : order) {
    dims.push_back(shape[d]);
    from.push_back(strides[d]);
    if (!chosen[d]) rows *= shape[d];
  }
  const size_t bytes = static_cast<size_t>(shape.count()) * sizeof(float);
  const GpuOperand moved = work.scratch(bytes), normed = work.scratch(bytes);
  const kernels::Strides dense = kernels::strides_of(dims);
  const kernels::StridedCopy there(DataType::Float, dims, from, dense), back(DataType::Float, dims, dense, from);
  if (Refusal refusal = gpu::add_copy(work, there, GpuWork::input(0), GpuWork::written(moved), traits)) return refusal;
  gpu::Norm norm;
  norm.rows = rows;
  norm.n = shape.count() / rows;
  // The CPU adds 1e-9 to the deviation.
  norm.epsilon = 1e-18f;
  norm.x = moved;
  norm.y = GpuWork::written(normed);
  gpu::add_norm(work, norm, traits);
  return gpu::add_copy(work, back, normed, GpuWork::output(0), traits);
}

constexpr GpuRecipe kGpuMeanVariance{kFloat32, gpu_mean_variance};
constexpr GpuRecipe kGpuLrn{kFloat32, gpu_lrn};
constexpr GpuRecipe kGpuLpNorm{kFloat32, gpu_lp_norm};
constexpr GpuRecipe kGpuBatchNorm{kFloat32, gpu_batch_norm};
constexpr GpuRecipe kGpuInstanceNorm{kFloat32, gpu_instance_norm};
constexpr GpuRecipe kGpuGroupNorm{kFloat32, gpu_group_norm};

constexpr Candidate kBatchNorm[] = {{"affine", refuse_batch_norm, prepare_batch_norm, kAnyLayout, nullptr, 1u}};
constexpr Candidate kInstanceNorm[] = {{"rows", nullptr, prepare_instance_norm}};
constexpr Candidate kGroupNorm[] = {{"rows", nullptr, prepare_group_norm}};
constexpr Candidate kLpNorm[] = {{"reference", nullptr, prepare_lp_norm}};
constexpr Candidate kMeanVariance[] = {{"reference", nullptr, prepare_mean_variance}};
constexpr Candidate kLrn[] = {{"window", nullptr, prepare_lrn}};

constexpr OpDef kOps[] = {
    {"", "BatchNormalization", infer_batch_norm, kBatchNorm, kFloatTypes, kInPlace, 0, &kGpuBatchNorm},
    {"fastort", "FusedBatchNormalization", infer_batch_norm, kBatchNorm, kFloatTypes, kInPlace, 0, &kGpuBatchNorm},
    {"", "InstanceNormalization", infer_same, kInstanceNorm, kFloatTypes, kNone, 0, &kGpuInstanceNorm},
    {"", "GroupNormalization", infer_same, kGroupNorm, kFloatTypes, kNone, 0, &kGpuGroupNorm},
    {"", "LpNormalization", infer_lp_norm, kLpNorm, kFloatTypes, kNone, 0, &kGpuLpNorm},
    {"", "MeanVarianceNormalization", infer_same, kMeanVariance, kFloatTypes, kNone, 0, &kGpuMeanVariance},
    {"", "LRN", infer_same, kLrn, kFloatTypes, kNone, 0, &kGpuLrn},
};

}  // namespace

std::span<const OpDef> norm_ops() { return kOps; }

}  // namespace fastort
