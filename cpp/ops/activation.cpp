#include "kernels/elementwise/binary.h"
#include "ops/elementwise/unary_kernel.h"

namespace fastort {
namespace {

using elementwise::kUnary;
using elementwise::prepare_unary;
using kernels::UnaryOp;
using kernels::UnaryParams;

constexpr TypeMask kReluTypes =
    kFloatTypes | TypeMask(DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64);

// An operator with one attribute, or two, that are the function's parameters.
std::unique_ptr<Kernel> with_alpha(const OpContext& context, UnaryOp op, float alpha) {
  return prepare_unary(context, op, {context.attributes().get_float("alpha", alpha), 0});
}

std::unique_ptr<Kernel> prepare_leaky_relu(const OpContext& context) {
  return with_alpha(context, UnaryOp::LeakyRelu, 0.01f);
}
std::unique_ptr<Kernel> prepare_elu(const OpContext& context) { return with_alpha(context, UnaryOp::Elu, 1.0f); }
std::unique_ptr<Kernel> prepare_celu(const OpContext& context) { return with_alpha(context, UnaryOp::Celu, 1.0f); }
std::unique_ptr<Kernel> prepare_swish(const OpContext& context) { return with_alpha(context, UnaryOp::Silu, 1.0f); }
std::unique_ptr<Kernel> prepare_quick_gelu(const OpContext& context) {
  return with_alpha(context, UnaryOp::Silu, 1.702f);
}
std::unique_ptr<Kernel> prepare_thresholded_relu(const OpContext& context) {
  return with_alpha(context, UnaryOp::ThresholdedRelu, 1.0f);
}
std::unique_ptr<Kernel> prepare_selu(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  return prepare_unary(context, UnaryOp::Selu,
                       {attributes.get_float("alpha", 1.67326319217681884765625f),
                        attributes.get_float("gamma", 1.05070102214813232421875f)});
}
std::unique_ptr<Kernel> prepare_hard_sigmoid(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  return prepare_unary(context, UnaryOp::HardSigmoid,
                       {attributes.get_float("alpha", 0.2f), attributes.get_float("beta", 0.5f)});
}
std::unique_ptr<Kernel> prepare_shrink(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  return prepare_unary(context, UnaryOp::Shrink,
                       {attributes.get_float("lambd", 0.5f), attributes.get_float("bias", 0.0f)});
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

template <PrepareFn prepare>
constexpr Candidate kActivation[] = {{"elementwise", elementwise::refuse_one, prepare, kAnyLayout}};
constexpr Candidate kBiasGelu[] = {{"elementwise", elementwise::refuse_all, prepare_bias_gelu}};
constexpr Candidate kFastGelu[] = {{"elementwise", elementwise::refuse_all, prepare_fast_gelu}};

constexpr OpDef kOps[] = {
    {"", "Sigmoid", infer_same, kUnary<UnaryOp::Sigmoid>, kFloatTypes, kInPlace},
    {"", "Relu", infer_same, kUnary<UnaryOp::Relu>, kReluTypes, kInPlace},
    {"", "LeakyRelu", infer_same, kActivation<prepare_leaky_relu>, kFloatTypes, kInPlace},
    {"", "Elu", infer_same, kActivation<prepare_elu>, kFloatTypes, kInPlace},
    {"", "Selu", infer_same, kActivation<prepare_selu>, kFloatTypes, kInPlace},
    {"", "Celu", infer_same, kActivation<prepare_celu>, kFloatTypes, kInPlace},
    {"", "ThresholdedRelu", infer_same, kActivation<prepare_thresholded_relu>, kFloatTypes, kInPlace},
    {"", "HardSigmoid", infer_same, kActivation<prepare_hard_sigmoid>, kFloatTypes, kInPlace},
    {"", "HardSwish", infer_same, kUnary<UnaryOp::HardSwish>, kFloatTypes, kInPlace},
    {"", "Softplus", infer_same, kUnary<UnaryOp::Softplus>, kFloatTypes, kInPlace},
    {"", "Softsign", infer_same, kUnary<UnaryOp::Softsign>, kFloatTypes, kInPlace},
    {"", "Mish", infer_same, kUnary<UnaryOp::Mish>, kFloatTypes, kInPlace},
    {"", "Gelu", infer_same, kActivation<prepare_gelu>, kFloatTypes, kInPlace},
    {"", "Swish", infer_same, kActivation<prepare_swish>, kFloatTypes, kInPlace},
    {"", "Shrink", infer_same, kActivation<prepare_shrink>, kNumericTypes, kInPlace},
    {"com.microsoft", "Gelu", infer_same, kUnary<UnaryOp::Gelu>, kFloatTypes, kInPlace},
    {"com.microsoft", "QuickGelu", infer_same, kActivation<prepare_quick_gelu>, kFloatTypes, kInPlace},
    {"com.microsoft", "BiasGelu", infer_same, kBiasGelu, kFloatTypes, kInPlace},
    {"com.microsoft", "FastGelu", infer_same, kFastGelu, kFloatTypes, kInPlace},
};

}  // namespace

std::span<const OpDef> activation_ops() { return kOps; }

}  // namespace fastort
