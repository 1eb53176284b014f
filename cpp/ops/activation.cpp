#include "kernels/elementwise/binary.h"
#include "ops/elementwise/unary_kernel.h"
#include "ops/gpu/elementwise.h"

namespace fastort {
namespace {

using elementwise::kUnary;
using elementwise::prepare_unary;
using kernels::UnaryOp;
using kernels::UnaryParams;

constexpr TypeMask kReluTypes =
    kFloatTypes | TypeMask(DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64);

// The parameters of functions that are attributes.
UnaryParams alpha_or(const OpContext& context, float fallback) {
  return {context.attributes().get_float("alpha", fallback), 0};
}
UnaryParams leaky_relu(const OpContext& context) { return alpha_or(context, 0.01f); }
UnaryParams alpha_1(const OpContext& context) { return alpha_or(context, 1.0f); }
UnaryParams quick_gelu(const OpContext& context) { return alpha_or(context, 1.702f); }
UnaryParams selu(const OpContext& context) {
  return {context.attributes().get_float("alpha", 1.67326319217681884765625f),
          context.attributes().get_float("gamma", 1.05070102214813232421875f)};
}
UnaryParams hard_sigmoid(const OpContext& context) {
  return {context.attributes().get_float("alpha", 0.2f), context.attributes().get_float("beta", 0.5f)};
}
UnaryParams shrink(const OpContext& context) {
  return {context.attributes().get_float("lambd", 0.5f), context.attributes().get_float("bias", 0.0f)};
}

std::unique_ptr<Kernel> prepare_gelu(const OpContext& context) {
  const std::string approximate = context.attributes().get_string("approximate", "none");
  if (approximate == "none") return prepare_unary(context, UnaryOp::Gelu);
  if (approximate == "tanh") return prepare_unary(context, UnaryOp::GeluTanh);
  context.fail("attribute 'approximate' must be 'none' or 'tanh', got '" + approximate + "'");
}

// com.microsoft's activations of a sum: input 1 is a bias of the last dimension.
std::unique_ptr<Kernel> prepare_bias_activation(const OpContext& context, UnaryOp op) {
  if (!context.has_input(1)) return prepare_unary(context, op);
  elementwise::check_same_type(context, 0, 2);
  const DataType type = context.type(0);
  const std::optional<kernels::Unary> function = kernels::Unary::find(op, type);
  const std::optional<kernels::Binary> add = kernels::Binary::find(kernels::BinaryOp::Add, type);
  if (!function || !add) context.fail("is not defined for " + std::string(name(type)));
  const kernels::Broadcast loops = elementwise::nest(context, 2);
  const size_t item = element_size(type);
  return make_kernel([=, f = *function, sum = *add](const KernelArgs& args) {
    const kernels::Broadcast::Operand operands[] = {{args.in<std::byte>(0), item}, {args.in<std::byte>(1), item}};
    loops.run(args.parallel, f.grain(), args.out<std::byte>(0), item, operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                sum(loops.is_vector(0), loops.is_vector(1), src[0], src[1], dst, n);
                f(dst, dst, n);
              });
  });
}

std::unique_ptr<Kernel> prepare_bias_gelu(const OpContext& context) {
  return prepare_bias_activation(context, UnaryOp::Gelu);
}
std::unique_ptr<Kernel> prepare_fast_gelu(const OpContext& context) {
  return prepare_bias_activation(context, UnaryOp::GeluTanh);
}

template <UnaryOp op, UnaryParams (*read)(const OpContext&)>
constexpr Candidate kWith[] = {{"elementwise", elementwise::refuse_one,
                                [](const OpContext& context) { return prepare_unary(context, op, read(context)); },
                                kAnyLayout}};
constexpr Candidate kGelu[] = {{"elementwise", elementwise::refuse_one, prepare_gelu, kAnyLayout}};
constexpr Candidate kBiasGelu[] = {{"elementwise", elementwise::refuse_all, prepare_bias_gelu}};
constexpr Candidate kFastGelu[] = {{"elementwise", elementwise::refuse_all, prepare_fast_gelu}};

// Rows of functions without parameters, and with.
template <UnaryOp op>
constexpr OpDef plain(std::string_view domain, std::string_view name, TypeMask types = kFloatTypes) {
  return {domain, name, infer_same, kUnary<op>, types, kInPlace, 0, &gpu::kUnary<op>};
}
template <UnaryOp op, UnaryParams (*read)(const OpContext&)>
constexpr OpDef with(std::string_view domain, std::string_view name, TypeMask types = kFloatTypes) {
  return {domain, name, infer_same, kWith<op, read>, types, kInPlace, 0, &gpu::kUnaryWith<op, read>};
}

constexpr OpDef kOps[] = {
    plain<UnaryOp::Sigmoid>("", "Sigmoid"),
    plain<UnaryOp::Relu>("", "Relu", kReluTypes),
    with<UnaryOp::LeakyRelu, leaky_relu>("", "LeakyRelu"),
    with<UnaryOp::Elu, alpha_1>("", "Elu"),
    with<UnaryOp::Selu, selu>("", "Selu"),
    with<UnaryOp::Celu, alpha_1>("", "Celu"),
    with<UnaryOp::ThresholdedRelu, alpha_1>("", "ThresholdedRelu"),
    with<UnaryOp::HardSigmoid, hard_sigmoid>("", "HardSigmoid"),
    plain<UnaryOp::HardSwish>("", "HardSwish"),
    plain<UnaryOp::Softplus>("", "Softplus"),
    plain<UnaryOp::Softsign>("", "Softsign"),
    plain<UnaryOp::Mish>("", "Mish"),
    {"", "Gelu", infer_same, kGelu, kFloatTypes, kInPlace, 0, &gpu::kGelu},
    with<UnaryOp::Silu, alpha_1>("", "Swish"),
    with<UnaryOp::Shrink, shrink>("", "Shrink", kNumericTypes),
    plain<UnaryOp::Gelu>("com.microsoft", "Gelu"),
    with<UnaryOp::Silu, quick_gelu>("com.microsoft", "QuickGelu"),
    {"com.microsoft", "BiasGelu", infer_same, kBiasGelu, kFloatTypes, kInPlace, 0, &gpu::kBiasThen<UnaryOp::Gelu>},
    {"com.microsoft", "FastGelu", infer_same, kFastGelu, kFloatTypes, kInPlace, 0, &gpu::kBiasThen<UnaryOp::GeluTanh>},
};

}  // namespace

std::span<const OpDef> activation_ops() { return kOps; }

}  // namespace fastort
