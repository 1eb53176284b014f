#include "kernels/elementwise/binary.h"

#include <cstring>

#include "ops/elementwise/operands.h"
#include "ops/gpu/elementwise.h"
#include "ops/gpu/select.h"

namespace fastort {
namespace {

using kernels::Binary;
using kernels::BinaryOp;
using kernels::Broadcast;

// f(0, 0) == 0, so that padding stays zero where both operands are padded.
bool keeps_zero(BinaryOp op) {
  switch (op) {
    case BinaryOp::Add:
    case BinaryOp::Sub:
    case BinaryOp::Mul:
    case BinaryOp::Max:
    case BinaryOp::Min:
    case BinaryOp::PRelu:
    case BinaryOp::BitAnd:
    case BinaryOp::BitOr:
    case BinaryOp::BitXor:
    case BinaryOp::And:
    case BinaryOp::Or:
    case BinaryOp::Xor:
    case BinaryOp::Less:
    case BinaryOp::Greater:
      return true;
    default:
      return false;
  }
}

bool both_padded(const OpContext& context) {
  const TensorDesc& out = context.out(0);
  auto padded = [&](const TensorDesc& operand) {
    // One element is read as a number, not as a vector of channels.
    return operand.layout == out.layout && operand.shape[1] == out.shape[1] && operand.shape.count() != 1;
  };
  return padded(context.in(0)) && padded(context.in(1));
}

Binary find(const OpContext& context, BinaryOp op) {
  const std::optional<Binary> function = Binary::find(op, context.type(0));
  if (!function) context.fail("is not defined for " + std::string(name(context.type(0))));
  return *function;
}

std::unique_ptr<Kernel> prepare_binary(const OpContext& context, BinaryOp op) {
  elementwise::check_same_type(context, 0, 2);
  const Binary f = find(context, op);
  const Broadcast loops = elementwise::nest(context, 2);
  const size_t item = element_size(context.type(0));
  const size_t dst_item = element_size(context.out(0).type);
  const elementwise::Padding padding(context.out(0));
  const int64_t count = loops.count();
  const bool small = padding.empty() && count > 0 && count <= f.grain();
  if (padding.empty() && loops.is_whole(0) && loops.is_whole(1)) {
    if (small)
      return make_kernel([=](const KernelArgs& args) {
        f(true, true, args.in<std::byte>(0), args.in<std::byte>(1), args.out<std::byte>(0), count);
      });
    return make_kernel([=](const KernelArgs& args) {
      const std::byte* a = args.in<std::byte>(0);
      const std::byte* b = args.in<std::byte>(1);
      std::byte* dst = args.out<std::byte>(0);
      const int64_t step = static_cast<int64_t>(item), dst_step = static_cast<int64_t>(dst_item);
      args.parallel.range(count, f.grain(), [&](int64_t begin, int64_t end) {
        f(true, true, a + begin * step, b + begin * step, dst + begin * dst_step, end - begin);
      });
    });
  }
  if (small && loops.is_one_row())
    return make_kernel([=, a = loops.is_vector(0), b = loops.is_vector(1)](const KernelArgs& args) {
      f(a, b, args.in<std::byte>(0), args.in<std::byte>(1), args.out<std::byte>(0), count);
    });
  const bool clear = !padding.empty() && !(keeps_zero(op) && both_padded(context));
  return make_kernel([=](const KernelArgs& args) {
    const Broadcast::Operand operands[] = {{args.in<std::byte>(0), item}, {args.in<std::byte>(1), item}};
    loops.run(args.parallel, f.grain(), args.out<std::byte>(0), dst_item, operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                f(loops.is_vector(0), loops.is_vector(1), src[0], src[1], dst, n);
              });
    if (clear) padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

// ---- Equal on strings ---------------------------------------------------------------------------------------------

std::unique_ptr<Kernel> prepare_equal_strings(const OpContext& context) {
  elementwise::check_same_type(context, 0, 2);
  const Broadcast loops = elementwise::nest(context, 2);
  return make_kernel([=](const KernelArgs& args) {
    const Broadcast::Operand operands[] = {{args.in<std::byte>(0), sizeof(std::string)},
                                           {args.in<std::byte>(1), sizeof(std::string)}};
    const int64_t a_step = loops.is_vector(0), b_step = loops.is_vector(1);
    loops.run(args.parallel, 4096, args.out<std::byte>(0), 1, operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                const auto* a = reinterpret_cast<const std::string*>(src[0]);
                const auto* b = reinterpret_cast<const std::string*>(src[1]);
                bool* equal = reinterpret_cast<bool*>(dst);
                for (int64_t i = 0; i < n; ++i) equal[i] = a[i * a_step] == b[i * b_step];
              });
  });
}

// ---- operators with attributes or operands of two types -----------------------------------------------------------

std::unique_ptr<Kernel> prepare_mod(const OpContext& context) {
  const int64_t fmod = context.attributes().get_int("fmod", 0);
  if (fmod != 0 && fmod != 1) context.fail("attribute 'fmod' must be 0 or 1, got " + std::to_string(fmod));
  return prepare_binary(context, fmod ? BinaryOp::ModTrunc : BinaryOp::ModFloor);
}

std::unique_ptr<Kernel> prepare_bit_shift(const OpContext& context) {
  const std::string direction = context.attributes().get_string("direction", "");
  if (direction != "LEFT" && direction != "RIGHT")
    context.fail("attribute 'direction' must be 'LEFT' or 'RIGHT', got '" + direction + "'");
  return prepare_binary(context, direction == "LEFT" ? BinaryOp::ShiftLeft : BinaryOp::ShiftRight);
}

std::unique_ptr<Kernel> prepare_pow(const OpContext& context) {
  if (!context.has_input(1)) context.fail("the exponent is missing");
  const DataType base = context.type(0), exponent = context.type(1);
  if (base == exponent) return prepare_binary(context, BinaryOp::Pow);
  const kernels::PowFn f = kernels::mixed_pow(base);
  if (!f || !kNumericTypes.has(exponent))
    context.fail("is not defined for " + std::string(name(base)) + " raised to " + std::string(name(exponent)));
  const Broadcast loops = elementwise::nest(context, 2);
  const elementwise::Padding padding(context.out(0));
  const size_t item = element_size(base), exponent_item = element_size(exponent);
  return make_kernel([=](const KernelArgs& args) {
    const Broadcast::Operand operands[] = {{args.in<std::byte>(0), item}, {args.in<std::byte>(1), exponent_item}};
    loops.run(args.parallel, 4096, args.out<std::byte>(0), item, operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                f(src[0], loops.is_vector(0), exponent, src[1], loops.is_vector(1), dst, n);
              });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

// The slope broadcasts to the input, never the other way.
void infer_prelu(InferContext& context) {
  if (elementwise::differ(context.type(1), context.type(0))) context.fail("input and slope must have one type");
  if (context.has_shape(0) && context.has_shape(1) && context.shape(1).rank() > context.shape(0).rank())
    context.fail("the slope's shape " + to_string(context.shape(1)) + " does not broadcast to the input's " +
                 to_string(context.shape(0)));
  infer_same(context);
}

// ---- variadic operators -------------------------------------------------------------------------------------------

// In float, because a sum of halves may be too large for a half although their mean is none.
template <class T>
std::unique_ptr<Kernel> prepare_mean_of_halves(const OpContext& context, T (*narrow)(float)) {
  const int count = context.num_inputs();
  const Broadcast loops = elementwise::nest(context, count);
  const elementwise::Padding padding(context.out(0));
  return make_kernel([=](const KernelArgs& args) {
    constexpr int64_t kBlock = 512;
    InlineVector<Broadcast::Operand, 8> operands;
    for (int i = 0; i < count; ++i) operands.push_back({args.in<std::byte>(i), sizeof(T)});
    loops.run(args.parallel, 4096 / count + 1, args.out<std::byte>(0), sizeof(T), operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                for (int64_t begin = 0; begin < n; begin += kBlock) {
                  const int64_t block = std::min(kBlock, n - begin);
                  float sum[kBlock] = {};
                  for (int k = 0; k < count; ++k) {
                    const T* x = reinterpret_cast<const T*>(src[k]) + (loops.is_vector(k) ? begin : 0);
                    for (int64_t i = 0; i < block; ++i) sum[i] += to_float(x[loops.is_vector(k) ? i : 0]);
                  }
                  T* to = reinterpret_cast<T*>(dst) + begin;
                  for (int64_t i = 0; i < block; ++i) to[i] = narrow(sum[i] / static_cast<float>(count));
                }
              });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

std::unique_ptr<Kernel> prepare_variadic(const OpContext& context, BinaryOp op, bool mean) {
  const int count = context.num_inputs();
  if (count == 2 && !mean) return prepare_binary(context, op);
  elementwise::check_same_type(context, 0, count);
  const DataType type = context.type(0);
  if (mean && type == DataType::Float16) return prepare_mean_of_halves<Float16>(context, to_float16);
  if (mean && type == DataType::BFloat16) return prepare_mean_of_halves<BFloat16>(context, to_bfloat16);
  const Binary f = find(context, op);
  const std::optional<Binary> divide = Binary::find(BinaryOp::Div, type);
  const size_t item = element_size(type);
  const Broadcast loops = elementwise::nest(context, count);
  const elementwise::Padding padding(context.out(0));
  // The number of inputs, as an element.
  uint64_t divisor = 0;
  auto set_divisor = [&](auto value) { std::memcpy(&divisor, &value, sizeof value); };
  const float total = static_cast<float>(count);
  if (type == DataType::Double)
    set_divisor(static_cast<double>(count));
  else if (type == DataType::Float)
    set_divisor(total);
  // A block of sums at a time, so that the output may lie over any input.
  return make_kernel([=](const KernelArgs& args) {
    constexpr int64_t kBlock = 512;
    InlineVector<Broadcast::Operand, 8> operands;
    for (int i = 0; i < count; ++i) operands.push_back({args.in<std::byte>(i), item});
    loops.run(args.parallel, f.grain() / count + 1, args.out<std::byte>(0), item, operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                alignas(64) std::byte sum[kBlock * 8];
                for (int64_t i = 0; i < n; i += kBlock) {
                  const int64_t block = std::min(kBlock, n - i);
                  const size_t bytes = static_cast<size_t>(block) * item;
                  auto at = [&](int k) { return src[k] + (loops.is_vector(k) ? i * static_cast<int64_t>(item) : 0); };
                  if (count == 1) std::memcpy(sum, at(0), loops.is_vector(0) ? bytes : item);
                  for (int k = 1; k < count; ++k) {
                    if (k == 1)
                      f(loops.is_vector(0), loops.is_vector(1), at(0), at(1), sum, block);
                    else
                      f(true, loops.is_vector(k), sum, at(k), sum, block);
                  }
                  if (mean) (*divide)(true, false, sum, &divisor, sum, block);
                  std::memcpy(dst + i * static_cast<int64_t>(item), sum, bytes);
                }
              });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

template <BinaryOp op>
std::unique_ptr<Kernel> prepare(const OpContext& context) {
  return prepare_binary(context, op);
}
template <BinaryOp op, bool mean = false>
std::unique_ptr<Kernel> prepare_many(const OpContext& context) {
  return prepare_variadic(context, op, mean);
}

Refusal gpu_mod(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return context.attributes().get_int("fmod", 0) != 0 ? gpu::binary_work<BinaryOp::ModTrunc>(context, traits, work)
                                                      : gpu::binary_work<BinaryOp::ModFloor>(context, traits, work);
}
Refusal gpu_bit_shift(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const bool left = context.attributes().get_string("direction", "") == "LEFT";
  return gpu::add_arith(context, traits, work, left ? gpu::Arith::ShiftLeft : gpu::Arith::ShiftRight);
}
constexpr GpuRecipe kGpuMod{kIntTypes | kFloat32, gpu_mod};
constexpr GpuRecipe kGpuBitShift{kIntTypes, gpu_bit_shift};

template <PrepareFn function>
constexpr Candidate kElementwise[] = {{"elementwise", elementwise::refuse_all, function, kAnyLayout}};
constexpr Candidate kEqual[] = {
    {"elementwise", elementwise::refuse_all, prepare<BinaryOp::Equal>, kAnyLayout},
    {"strings", elementwise::refuse_other_than_strings, prepare_equal_strings},
};

constexpr TypeMask kBoolType(DataType::Bool);
constexpr TypeMask kPowTypes = kFloatTypes | TypeMask(DataType::Int32, DataType::Int64);
constexpr TypeMask kPReluTypes =
    kFloatTypes | TypeMask(DataType::Int32, DataType::Int64, DataType::UInt32, DataType::UInt64);
constexpr TypeMask kEqualTypes = kNumericTypes | kBoolType | TypeMask(DataType::String);

using elementwise::infer_arithmetic;
using elementwise::infer_mixed;
using elementwise::infer_predicate;

constexpr OpDef kOps[] = {
    {"", "Add", infer_arithmetic, kElementwise<prepare<BinaryOp::Add>>, kNumericTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Add>},
    {"", "Sub", infer_arithmetic, kElementwise<prepare<BinaryOp::Sub>>, kNumericTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Sub>},
    {"", "Mul", infer_arithmetic, kElementwise<prepare<BinaryOp::Mul>>, kNumericTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Mul>},
    {"", "Div", infer_arithmetic, kElementwise<prepare<BinaryOp::Div>>, kNumericTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Div>},
    {"", "Pow", infer_mixed, kElementwise<prepare_pow>, kPowTypes, kInPlace, 0, &gpu::kPow},
    {"", "Mod", infer_arithmetic, kElementwise<prepare_mod>, kNumericTypes, kInPlace, 0, &kGpuMod},
    {"", "PRelu", infer_prelu, kElementwise<prepare<BinaryOp::PRelu>>, kPReluTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::PRelu>},
    {"", "And", infer_predicate, kElementwise<prepare<BinaryOp::And>>, kBoolType, kInPlace, 0,
     &gpu::kCompare<gpu::Compare::And>},
    {"", "Or", infer_predicate, kElementwise<prepare<BinaryOp::Or>>, kBoolType, kInPlace, 0,
     &gpu::kCompare<gpu::Compare::Or>},
    {"", "Xor", infer_predicate, kElementwise<prepare<BinaryOp::Xor>>, kBoolType, kInPlace, 0,
     &gpu::kCompare<gpu::Compare::Xor>},
    {"", "BitwiseAnd", infer_arithmetic, kElementwise<prepare<BinaryOp::BitAnd>>, kIntTypes, kInPlace, 0,
     &gpu::kIntegers<gpu::Arith::And>},
    {"", "BitwiseOr", infer_arithmetic, kElementwise<prepare<BinaryOp::BitOr>>, kIntTypes, kInPlace, 0,
     &gpu::kIntegers<gpu::Arith::Or>},
    {"", "BitwiseXor", infer_arithmetic, kElementwise<prepare<BinaryOp::BitXor>>, kIntTypes, kInPlace, 0,
     &gpu::kIntegers<gpu::Arith::Xor>},
    {"", "BitShift", infer_arithmetic, kElementwise<prepare_bit_shift>, kIntTypes, kInPlace, 0, &kGpuBitShift},
    {"", "Equal", infer_predicate, kEqual, kEqualTypes, kInPlace, 0, &gpu::kCompare<gpu::Compare::Equal>},
    {"", "Less", infer_predicate, kElementwise<prepare<BinaryOp::Less>>, kNumericTypes, kNone, 0,
     &gpu::kCompare<gpu::Compare::Less>},
    {"", "LessOrEqual", infer_predicate, kElementwise<prepare<BinaryOp::LessOrEqual>>, kNumericTypes, kNone, 0,
     &gpu::kCompare<gpu::Compare::LessOrEqual>},
    {"", "Greater", infer_predicate, kElementwise<prepare<BinaryOp::Greater>>, kNumericTypes, kNone, 0,
     &gpu::kCompare<gpu::Compare::Greater>},
    {"", "GreaterOrEqual", infer_predicate, kElementwise<prepare<BinaryOp::GreaterOrEqual>>, kNumericTypes, kNone, 0,
     &gpu::kCompare<gpu::Compare::GreaterOrEqual>},
    {"", "Sum", infer_arithmetic, kElementwise<prepare_many<BinaryOp::Add>>, kFloatTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Add>},
    {"", "Mean", infer_arithmetic, kElementwise<prepare_many<BinaryOp::Add, true>>, kFloatTypes, kInPlace, 0,
     &gpu::kMean},
    {"", "Max", infer_arithmetic, kElementwise<prepare_many<BinaryOp::Max>>, kNumericTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Max>},
    {"", "Min", infer_arithmetic, kElementwise<prepare_many<BinaryOp::Min>>, kNumericTypes, kInPlace, 0,
     &gpu::kBinary<BinaryOp::Min>},
};

}  // namespace

std::span<const OpDef> binary_ops() { return kOps; }

}  // namespace fastort
