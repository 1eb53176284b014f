#include <cmath>
#include <cstring>

#include "kernels/elementwise/half.h"
#include "kernels/elementwise/types.h"
#include "ops/elementwise/unary_kernel.h"
#include "ops/gpu/elementwise.h"
#include "ops/gpu/select.h"

namespace fastort {
namespace {

using elementwise::kUnary;
using kernels::UnaryOp;

constexpr TypeMask kSignedTypes =
    kFloatTypes | TypeMask(DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64);
constexpr TypeMask kFloat8Types(DataType::Float8E4M3FN, DataType::Float8E4M3FNUZ, DataType::Float8E5M2,
                                DataType::Float8E5M2FNUZ);

// ---- predicates of floating-point numbers: what the bits say ------------------------------------------------------

// Bits of the numbers whose exponent is all ones: NaN and infinity.
struct SpecialBits {
  uint64_t magnitude;  // mask of all but the sign
  uint64_t infinity;
  bool has_infinity;
  // Kinds with one NaN: exactly these bits.
  bool single_nan = false;
  uint64_t nan = 0;
};

SpecialBits special_bits(DataType type) {
  switch (type) {
    case DataType::Double:
      return {0x7fffffffffffffffu, 0x7ff0000000000000u, true};
    case DataType::Float16:
      return {0x7fff, 0x7c00, true};
    case DataType::BFloat16:
      return {0x7fff, 0x7f80, true};
    case DataType::Float8E5M2:
      return {0x7f, 0x7c, true};
    case DataType::Float8E4M3FN:
      return {0x7f, 0x7e, false};
    case DataType::Float8E4M3FNUZ:
    case DataType::Float8E5M2FNUZ:
      return {0xff, 0xff, false, true, 0x80};
    default:
      return {0x7fffffffu, 0x7f800000u, true};
  }
}

template <class Bits>
void is_nan(const void* src, bool* dst, int64_t n, const SpecialBits& special) {
  const Bits* x = static_cast<const Bits*>(src);
  if (special.single_nan) {
    for (int64_t i = 0; i < n; ++i) dst[i] = x[i] == static_cast<Bits>(special.nan);
    return;
  }
  const Bits magnitude = static_cast<Bits>(special.magnitude), infinity = static_cast<Bits>(special.infinity);
  for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<Bits>(x[i] & magnitude) > infinity;
}

template <class Bits>
void is_inf(const void* src, bool* dst, int64_t n, const SpecialBits& special, bool negative, bool positive) {
  const Bits* x = static_cast<const Bits*>(src);
  const Bits plus = static_cast<Bits>(special.infinity);
  const Bits minus = static_cast<Bits>(plus | static_cast<Bits>(~special.magnitude));
  for (int64_t i = 0; i < n; ++i) dst[i] = (positive && x[i] == plus) || (negative && x[i] == minus);
}

template <class F>
std::unique_ptr<Kernel> prepare_bits(const OpContext& context, F f) {
  const int64_t count = elementwise::elements(context.out(0));
  const int64_t item = static_cast<int64_t>(element_size(context.type(0)));
  return make_kernel([=](const KernelArgs& args) {
    const std::byte* src = args.in<std::byte>(0);
    bool* dst = args.out<bool>(0);
    args.parallel.range(count, 16384,
                        [&](int64_t begin, int64_t end) { f(src + begin * item, dst + begin, end - begin); });
  });
}

template <class F>
std::unique_ptr<Kernel> by_size(const OpContext& context, F f) {
  switch (element_size(context.type(0))) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

std::unique_ptr<Kernel> prepare_is_nan(const OpContext& context) {
  const SpecialBits special = special_bits(context.type(0));
  return by_size(context, [&]<class Bits>(Bits) {
    return prepare_bits(context, [=](const void* src, bool* dst, int64_t n) { is_nan<Bits>(src, dst, n, special); });
  });
}

std::unique_ptr<Kernel> prepare_is_inf(const OpContext& context) {
  const SpecialBits special = special_bits(context.type(0));
  const bool negative = special.has_infinity && context.attributes().get_int("detect_negative", 1) != 0;
  const bool positive = special.has_infinity && context.attributes().get_int("detect_positive", 1) != 0;
  return by_size(context, [&]<class Bits>(Bits) {
    return prepare_bits(context, [=](const void* src, bool* dst, int64_t n) {
      is_inf<Bits>(src, dst, n, special, negative, positive);
    });
  });
}

void infer_bool(InferContext& context) {
  if (context.has_shape(0))
    context.out(0, DataType::Bool, context.shape(0));
  else
    context.out(0, DataType::Bool);
}

// ---- Not, BitwiseNot ----------------------------------------------------------------------------------------------

std::unique_ptr<Kernel> prepare_not(const OpContext& context) {
  const elementwise::Padding padding(context.out(0));
  const int64_t count = elementwise::elements(context.out(0));
  return make_kernel([=](const KernelArgs& args) {
    const uint8_t* src = args.in<uint8_t>(0);
    uint8_t* dst = args.out<uint8_t>(0);
    args.parallel.range(count, 65536, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = src[i] == 0;
    });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

std::unique_ptr<Kernel> prepare_bitwise_not(const OpContext& context) {
  const elementwise::Padding padding(context.out(0));
  const int64_t bytes = elementwise::elements(context.out(0)) * static_cast<int64_t>(element_size(context.type(0)));
  return make_kernel([=](const KernelArgs& args) {
    const uint8_t* src = args.in<uint8_t>(0);
    uint8_t* dst = args.out<uint8_t>(0);
    args.parallel.range(bytes, 65536, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) dst[i] = static_cast<uint8_t>(~src[i]);
    });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

// ---- Identity -----------------------------------------------------------------------------------------------------

void infer_identity(InferContext& context) {
  context.outputs[0] = context.in(0);
  if (context.in(0).is_tensor())
    if (std::optional<Shape> dims = context.dims(0)) context.out_dims(0, std::move(*dims));
}

std::unique_ptr<Kernel> prepare_identity(const OpContext& context) {
  const TensorDesc& out = context.out(0);
  const bool strings = out.type == DataType::String;
  const size_t items = static_cast<size_t>(elementwise::elements(out));
  const size_t bytes = items * element_size(out.type);
  return make_kernel([=](const KernelArgs& args) {
    if (!args.pointers[0] || !args.pointers[args.num_inputs]) {
      if (args.frame) args.frame->set_output(0, args.frame->input(0));
      return;
    }
    if (args.pointers[0] == args.pointers[args.num_inputs]) return;
    if (strings) {
      std::copy_n(args.in<std::string>(0), items, args.out<std::string>(0));
    } else if (bytes != 0) {
      std::memcpy(args.out<std::byte>(0), args.in<std::byte>(0), bytes);
    }
  });
}

Refusal refuse_mixed_layouts(const OpContext& context) {
  if (context.in(0).layout != context.out(0).layout) return "input and output in different layouts";
  return std::nullopt;
}

constexpr Candidate kIsNaN[] = {{"elementwise", elementwise::refuse_one, prepare_is_nan, kAnyLayout}};
constexpr Candidate kIsInf[] = {{"elementwise", elementwise::refuse_one, prepare_is_inf, kAnyLayout}};
constexpr Candidate kNot[] = {{"elementwise", elementwise::refuse_one, prepare_not, kAnyLayout}};
// Bit 0 NaN, 1 plus infinity, 2 minus infinity.
Refusal add_predicate(const OpContext& context, const GpuTraits& traits, GpuWork& work, uint32_t kinds) {
  const int64_t count = context.out(0).shape.count();
  GpuDispatch& dispatch = work.dispatch("predicate");
  dispatch.constants = {kinds};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0)};
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, 64 * 4, traits);
  return std::nullopt;
}
Refusal gpu_is_nan(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return add_predicate(context, traits, work, 1);
}
Refusal gpu_is_inf(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const bool negative = context.attributes().get_int("detect_negative", 1) != 0;
  const bool positive = context.attributes().get_int("detect_positive", 1) != 0;
  return add_predicate(context, traits, work, (positive ? 2u : 0u) | (negative ? 4u : 0u));
}
constexpr GpuRecipe kGpuIsNaN{kFloat32, gpu_is_nan};
constexpr GpuRecipe kGpuIsInf{kFloat32, gpu_is_inf};

constexpr Candidate kBitwiseNot[] = {{"elementwise", elementwise::refuse_one, prepare_bitwise_not, kAnyLayout}};
constexpr Candidate kIdentity[] = {{"copy", refuse_mixed_layouts, prepare_identity, kAnyLayout}};

constexpr OpDef kOps[] = {
    {"", "Identity", infer_identity, kIdentity, kAllTypes, kView},
    {"", "Abs", infer_same, kUnary<UnaryOp::Abs>, kNumericTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Abs>},
    {"", "Neg", infer_same, kUnary<UnaryOp::Neg>, kSignedTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Neg>},
    {"", "Ceil", infer_same, kUnary<UnaryOp::Ceil>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Ceil>},
    {"", "Floor", infer_same, kUnary<UnaryOp::Floor>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Floor>},
    {"", "Round", infer_same, kUnary<UnaryOp::Round>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Round>},
    {"", "Sqrt", infer_same, kUnary<UnaryOp::Sqrt>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Sqrt>},
    {"", "Reciprocal", infer_same, kUnary<UnaryOp::Reciprocal>, kFloatTypes, kInPlace, 0,
     &gpu::kUnary<UnaryOp::Reciprocal>},
    {"", "Exp", infer_same, kUnary<UnaryOp::Exp>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Exp>},
    {"", "Log", infer_same, kUnary<UnaryOp::Log>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Log>},
    {"", "Sign", infer_same, kUnary<UnaryOp::Sign>, kNumericTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Sign>},
    {"", "Sin", infer_same, kUnary<UnaryOp::Sin>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Sin>},
    {"", "Cos", infer_same, kUnary<UnaryOp::Cos>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Cos>},
    {"", "Tan", infer_same, kUnary<UnaryOp::Tan>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Tan>},
    {"", "Asin", infer_same, kUnary<UnaryOp::Asin>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Asin>},
    {"", "Acos", infer_same, kUnary<UnaryOp::Acos>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Acos>},
    {"", "Atan", infer_same, kUnary<UnaryOp::Atan>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Atan>},
    {"", "Sinh", infer_same, kUnary<UnaryOp::Sinh>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Sinh>},
    {"", "Cosh", infer_same, kUnary<UnaryOp::Cosh>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Cosh>},
    {"", "Asinh", infer_same, kUnary<UnaryOp::Asinh>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Asinh>},
    {"", "Acosh", infer_same, kUnary<UnaryOp::Acosh>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Acosh>},
    {"", "Atanh", infer_same, kUnary<UnaryOp::Atanh>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Atanh>},
    {"", "Tanh", infer_same, kUnary<UnaryOp::Tanh>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Tanh>},
    {"", "Erf", infer_same, kUnary<UnaryOp::Erf>, kFloatTypes, kInPlace, 0, &gpu::kUnary<UnaryOp::Erf>},
    {"", "Not", infer_same, kNot, TypeMask(DataType::Bool), kInPlace, 0, &gpu::kCompare<gpu::Compare::Not>},
    {"", "BitwiseNot", infer_same, kBitwiseNot, kIntTypes, kInPlace, 0, &gpu::kIntegers<gpu::Arith::Invert>},
    {"", "IsNaN", infer_bool, kIsNaN, kFloatTypes | kFloat8Types, kNone, 0, &kGpuIsNaN},
    {"", "IsInf", infer_bool, kIsInf, kFloatTypes | kFloat8Types, kNone, 0, &kGpuIsInf},
};

}  // namespace

std::span<const OpDef> unary_ops() { return kOps; }

}  // namespace fastort
