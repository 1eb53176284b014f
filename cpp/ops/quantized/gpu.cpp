#include "ops/quantized/gpu.h"

#include "ops/conv/conv.h"
#include "ops/gpu/bytes.h"
#include "ops/gpu/gemm.h"
#include "ops/quantized/product.h"

namespace fastort::quantized {
namespace {

GpuOperand given(const OpContext& context, int input) {
  return input >= 0 && context.has_input(input) ? GpuWork::input(input) : GpuWork::none();
}

// A matrix without elements has no memory; the sums over it are zero.
GpuOperand matrix(const OpContext& context, int input) {
  return context.shape(input).count() > 0 ? GpuWork::input(input) : GpuWork::none();
}

// B with its scale and zero point, which are one or one for each column.
Refusal read_b(const OpContext& context, int b, int scale, int zero, gpu::ByteGemm& gemm) {
  if (!kBytes.has(context.type(b))) return "a product with " + std::string(name(context.type(b)));
  if (Refusal refusal = refuse_columns(context, scale, gemm.problem.n, "the scale of B")) return refusal;
  gemm.b = matrix(context, b);
  gemm.b_signed = is_signed(context.type(b));
  gemm.b_scale = GpuWork::input(scale);
  gemm.b_scales = context.shape(scale).count();
  if (!context.has_input(zero)) return std::nullopt;
  if (Refusal refusal = refuse_columns(context, zero, gemm.problem.n, "the zero point of B")) return refusal;
  gemm.b_zero = GpuWork::input(zero);
  gemm.b_zeros = context.shape(zero).count();
  return std::nullopt;
}

void read_a(const OpContext& context, int a, int scale, int zero, gpu::ByteGemm& gemm) {
  const Affine checked(context, scale, zero, context.type(a));
  gemm.a = matrix(context, a);
  gemm.a_signed = checked.is_signed();
  gemm.a_scale = GpuWork::input(scale);
  gemm.a_zero = given(context, zero);
  gemm.a_zeros = context.has_input(zero) ? 1 : 0;
}

Refusal qgemm(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  constexpr int kA = 0, kAScale = 1, kAZero = 2, kB = 3, kBScale = 4, kBZero = 5, kC = 6, kYScale = 7, kYZero = 8;
  const Attributes& attributes = context.attributes();
  gpu::ByteGemm gemm;
  gemm.problem = matmul::plain_problem(context.shape(kA), context.shape(kB), attributes.get_int("transA", 0) != 0,
                                       attributes.get_int("transB", 0) != 0);
  read_a(context, kA, kAScale, kAZero, gemm);
  if (Refusal refusal = read_b(context, kB, kBScale, kBZero, gemm)) return refusal;
  gemm.alpha = attributes.get_float("alpha", 1);
  if (context.has_input(kC)) {
    const Shape& c = context.shape(kC);
    gemm.bias = GpuWork::input(kC);
    gemm.bias_columns = c.rank() > 0 ? c.back() : 1;
    gemm.bias_rows = c.rank() > 1 ? c[0] : 1;
  }
  gemm.floats = !context.has_input(kYScale);
  if (!gemm.floats) {
    const Affine y(context, kYScale, kYZero, context.out(0).type);
    gemm.y_signed = y.is_signed();
    gemm.y_scale = GpuWork::input(kYScale);
    gemm.y_zero = given(context, kYZero);
    gemm.y_zeros = context.has_input(kYZero) ? 1 : 0;
    gemm.activation = conv::read_activation(attributes);
  }
  return gpu::add_byte_gemm(gemm, traits, work);
}

void add_bias(const OpContext& context, int bias, gpu::ByteGemm& gemm) {
  gemm.floats = true;
  if (!context.has_input(bias)) return;
  gemm.bias = GpuWork::input(bias);
  gemm.bias_is_floats = true;
  gemm.bias_columns = gemm.problem.n;
}

Refusal to_float(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::ByteGemm gemm;
  gemm.problem = matmul::plain_problem(context.shape(0), context.shape(1), false, false);
  read_a(context, 0, 2, 4, gemm);
  if (Refusal refusal = read_b(context, 1, 3, 5, gemm)) return refusal;
  add_bias(context, 6, gemm);
  return gpu::add_byte_gemm(gemm, traits, work);
}

Refusal dynamic_product(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::ByteGemm gemm;
  gemm.problem = matmul::plain_problem(context.shape(0), context.shape(1), false, false);
  const int64_t count = context.shape(0).count();
  const GpuOperand bytes = work.scratch(static_cast<size_t>(count)), scale = work.scratch(sizeof(float));
  const GpuOperand zero = work.scratch(sizeof(float));
  gemm.a = bytes;
  gemm.a_scale = scale;
  gemm.a_zero = zero;
  gemm.a_zeros = 1;
  if (Refusal refusal = read_b(context, 1, 2, 3, gemm)) return refusal;
  add_bias(context, 4, gemm);
  const gpu::DynamicBytes made{count, GpuWork::written(bytes), matrix(context, 0), GpuWork::written(scale),
                               GpuWork::written(zero)};
  if (Refusal refusal = gpu::add_dynamic_quantize(made, traits, work)) return refusal;
  return gpu::add_byte_gemm(gemm, traits, work);
}

// Up to as many rows are multiplied by the packed weights; for more of them the weights become numbers.
constexpr int64_t kPackedRows = 8;

Refusal nbits(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  constexpr int kA = 0, kB = 1, kScales = 2, kZeros = 3, kGroups = 4, kBias = 5;
  const Attributes& attributes = context.attributes();
  const int64_t n = attributes.get_int("N"), k = attributes.get_int("K"), bits = attributes.get_int("bits", 4);
  const int64_t block = attributes.get_int("block_size");
  if (k == 0) return "a product of nothing";
  const int64_t blocks = (k + block - 1) / block, row_words = blocks * (block * bits / 32);
  const int64_t rows = context.shape(kA).count() / k;
  const DataType type = context.type(kA);
  for (const int i : {kScales, kBias})
    if (context.has_input(i) && context.type(i) != type) return "scales or a bias of another type than A";
  uint32_t zeros = 0;
  if (context.has_input(kZeros)) zeros = context.type(kZeros) == DataType::UInt8 ? 2 : 1;
  if (zeros == 1 && context.type(kZeros) != type) return "zero points of another type than A";
  const bool groups = context.has_input(kGroups), packed = rows <= kPackedRows && !groups;
  GpuOperand numbers;
  if (!packed) numbers = work.scratch(static_cast<size_t>(n * k) * sizeof(float));
  const int64_t count = packed ? rows * n : n * k;
  GpuDispatch& dispatch = work.dispatch(packed ? "nbits.rows" : "nbits.numbers");
  const bool more = packed ? context.has_input(kBias) : groups;
  dispatch.constants = {static_cast<uint32_t>(bits), zeros, more ? 1u : 0u};
  dispatch.operands = {packed ? GpuWork::output(0) : GpuWork::written(numbers), GpuWork::input(kB),
                       GpuWork::input(kScales), given(context, kZeros)};
  if (packed) dispatch.operands.push_back(GpuWork::input(kA));
  dispatch.operands.push_back(given(context, packed ? kBias : kGroups));
  dispatch.push.u32(count).u32(rows).u32(n).u32(k).u32(block).u32(blocks).u32(row_words).u32((blocks * bits + 7) / 8);
  dispatch.groups = groups_for(count, packed ? 1 : 64, traits);
  dispatch.flops = packed ? 2.0 * static_cast<double>(count) * static_cast<double>(k) : 0;
  if (packed) return std::nullopt;
  gpu::Gemm gemm;
  gemm.m = rows;
  gemm.n = n;
  gemm.k = k;
  gemm.a_row = gemm.b_column = k;
  gemm.b_step = 1;
  gemm.a_offsets = gemm.b_offsets = {0};
  gemm.a = GpuWork::input(kA);
  gemm.b = numbers;
  gemm.result = GpuWork::output(0);
  if (context.has_input(kBias)) {
    gemm.addend = GpuWork::input(kBias);
    gemm.addend_mode = 2;
  }
  return add_gemm(gemm, traits, work);
}

}  // namespace

constinit const GpuRecipe kGpuQGemm{kBytes, qgemm, /*takes_empty=*/true};
constinit const GpuRecipe kGpuToFloat{kBytes, to_float, /*takes_empty=*/true};
constinit const GpuRecipe kGpuDynamicProduct{kFloat32, dynamic_product, /*takes_empty=*/true};
constinit const GpuRecipe kGpuNBits{kFloat32, nbits};

}  // namespace fastort::quantized
