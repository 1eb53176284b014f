// CausalConvWithState: a convolution of each channel with its own filter over the items up to now.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "kernels/elementwise/half.h"
#include "ops/gpu.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

constexpr TypeMask kTypes{DataType::Float, DataType::Float16, DataType::BFloat16};

bool differ(Dim a, Dim b) { return is_known(a) && is_known(b) && a != b; }

void check_type(const InferContext& context, int i, const char* what) {
  if (context.has_input(i) && context.type(i) != context.type(0))
    context.fail(std::string(what) + " must have the input's element type; insert a Cast");
}

void check_rank(const InferContext& context, int i, const char* what, int rank) {
  if (context.has_shape(i) && context.shape(i).rank() != rank)
    context.fail(std::string(what) + " must have " + std::to_string(rank) + " dimensions, got the shape " +
                 to_string(context.shape(i), context.symbols));
}

void infer_causal_conv(InferContext& context) {
  if (!context.has_input(0) || !context.has_input(1)) context.fail("input and weight are required");
  const char* const names[] = {"input", "weight", "bias", "past_state"};
  for (int i = 0; i < std::min(4, context.num_inputs()); ++i) {
    check_type(context, i, names[i]);
    check_rank(context, i, names[i], i == 2 ? 1 : 3);
  }
  SymbolTable& symbols = context.symbols;
  const Shape src =
      context.has_shape(0) ? context.shape(0) : Shape{context.unknown(), context.unknown(), context.unknown()};
  Dim state = context.unknown();
  if (context.has_shape(1)) {
    const Shape& weight = context.shape(1);
    if (differ(weight[0], src[1]) || differ(weight[1], 1) || weight[2] == 0)
      context.fail("weight must be [channels,1,taps] with at least one tap for the input " + to_string(src, symbols) +
                   ", got " + to_string(weight, symbols));
    state = symbols.sub(weight[2], 1);
  }
  if (context.has_shape(2) && differ(context.shape(2)[0], src[1]))
    context.fail("bias must have an item for each of the " + std::to_string(src[1]) + " channels, got " +
                 to_string(context.shape(2), symbols));
  if (context.has_shape(3)) {
    const Shape& past = context.shape(3);
    if (differ(past[0], src[0]) || differ(past[1], src[1]) || differ(past[2], state))
      context.fail("past_state must be [batch,channels,taps-1] for the input " + to_string(src, symbols) + ", got " +
                   to_string(past, symbols));
  }
  context.out(0, context.type(0), src);
  context.out(1, context.type(0), {src[0], src[1], state});
}

struct Problem {
  int64_t lines, channels, length, taps;
  bool silu;
  int64_t padded() const { return length + taps - 1; }
};

Problem read_problem(const OpContext& context) {
  const std::string activation = context.attributes().get_string("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    context.fail("attribute activation is '" + activation + "'; it may be 'none', 'silu' or 'swish'");
  const Shape& src = context.shape(0);
  return {src[0] * src[1], src[1], src[2], context.shape(1)[2], activation != "none"};
}

void load(const float* src, float* dst, int64_t n) { std::copy_n(src, n, dst); }
void load(const Float16* src, float* dst, int64_t n) { kernels::widen(src, dst, n); }
void load(const BFloat16* src, float* dst, int64_t n) { kernels::widen(src, dst, n); }
void store(const float* src, float* dst, int64_t n) { std::copy_n(src, n, dst); }
void store(const float* src, Float16* dst, int64_t n) { kernels::narrow(src, dst, n); }
void store(const float* src, BFloat16* dst, int64_t n) { kernels::narrow(src, dst, n); }

// dst[t] = bias + sum over j of weight[j] * src[t + j].
void convolve(const float* src, const float* weight, int64_t taps, float bias, float* dst, int64_t n) {
  std::fill_n(dst, n, bias);
  for (int64_t j = 0; j < taps; ++j)
    for (int64_t t = 0; t < n; ++t) dst[t] += weight[j] * src[t + j];
}

template <class T>
std::unique_ptr<Kernel> make_causal_conv(const OpContext& context) {
  const Problem p = read_problem(context);
  const bool has_bias = context.has_input(2), has_past = context.has_input(3);
  // A piece has room for one line with what came before it, its result and its filter.
  const int64_t room = p.padded() + p.length + p.taps;
  const int64_t pieces = std::clamp<int64_t>(p.lines * room / 8192, 1, std::max(1, context.options.threads));
  return make_kernel(
      [=](const KernelArgs& args) {
        const T *src = args.in<T>(0), *weight = args.in<T>(1);
        const T *bias = has_bias ? args.in<T>(2) : nullptr, *past = has_past ? args.in<T>(3) : nullptr;
        T *dst = args.out<T>(0), *present = args.out<T>(1);
        const int64_t before = p.taps - 1;
        args.parallel.chunks(static_cast<int>(pieces), [&](int piece) {
          float* const line = reinterpret_cast<float*>(args.workspace) + piece * room;
          float *const sums = line + p.padded(), *const filter = sums + p.length;
          for (int64_t i = p.lines * piece / pieces; i < p.lines * (piece + 1) / pieces; ++i) {
            const int64_t channel = i % p.channels;
            if (past)
              load(past + i * before, line, before);
            else
              std::fill_n(line, before, 0.0f);
            load(src + i * p.length, line + before, p.length);
            load(weight + channel * p.taps, filter, p.taps);
            float shift = 0;
            if (bias) load(bias + channel, &shift, 1);
            convolve(line, filter, p.taps, shift, sums, p.length);
            if (p.silu)
              for (int64_t t = 0; t < p.length; ++t) sums[t] /= 1 + std::exp(-sums[t]);
            if (dst) store(sums, dst + i * p.length, p.length);
            if (present) store(line + p.length, present + i * before, before);
          }
        });
      },
      static_cast<size_t>(pieces * room) * sizeof(float));
}

std::unique_ptr<Kernel> prepare_causal_conv(const OpContext& context) {
  return with_type(TypeList<float, Float16, BFloat16>{}, "CausalConvWithState", context.type(0),
                   [&]<class T>(std::type_identity<T>) { return make_causal_conv<T>(context); });
}

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Problem p = read_problem(context);
  const bool has_past = context.has_input(3) && p.taps > 1;
  uint32_t outputs = 0;
  for (int i = 0; i < 2; ++i)
    if (context.has_output(i) && context.out(i).shape.count() > 0) outputs |= 1u << i;
  const auto input = [](bool given, int i) { return given ? GpuWork::input(i) : GpuWork::none(); };
  const auto output = [&](int i) { return outputs >> i & 1 ? GpuWork::output(i) : GpuWork::none(); };
  const int64_t count = p.lines * p.padded();
  if (count == 0) return std::nullopt;
  GpuDispatch& dispatch = work.dispatch("causal_conv");
  dispatch.constants = {context.has_input(2) ? 1u : 0u, has_past ? 1u : 0u, p.silu ? 1u : 0u, outputs};
  dispatch.operands = {
      output(0),         output(1), input(p.length > 0, 0), GpuWork::input(1), input(context.has_input(2), 2),
      input(has_past, 3)};
  dispatch.push.u32(count).u32(p.channels).u32(p.length).u32(p.taps);
  dispatch.groups = groups_for(count, 64, traits);
  dispatch.flops = 2.0 * static_cast<double>(count) * static_cast<double>(p.taps);
  return std::nullopt;
}

constexpr GpuRecipe kGpu{kFloat32, gpu_work, /*takes_empty=*/true};

constexpr Candidate kCandidates[] = {{.name = "causal_conv", .prepare = prepare_causal_conv}};

constexpr OpDef kOps[] = {{.domain = "",
                           .name = "CausalConvWithState",
                           .infer = infer_causal_conv,
                           .cpu = kCandidates,
                           .types = kTypes,
                           .gpu = &kGpu}};

}  // namespace

std::span<const OpDef> causal_conv_ops() { return kOps; }

}  // namespace fastort
