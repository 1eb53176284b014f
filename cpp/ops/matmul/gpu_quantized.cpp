#include "ops/gpu/bytes.h"
#include "ops/gpu/fill.h"
#include "ops/matmul/matmul.h"

namespace fastort::matmul {
namespace {

constexpr TypeMask kBytes{DataType::Int8, DataType::UInt8};

// How many numbers a parameter has, which are one for all, or one for each line of its operand: the counts that the
// CPU's kernels check, so that these refuse what they would report.
Refusal count_of(const OpContext& context, int input, int64_t lines, int64_t total, int64_t& count) {
  if (!context.has_input(input)) return std::nullopt;
  count = context.shape(input).count();
  if (count == 1 || count == lines || count == total) return std::nullopt;
  return "input " + std::to_string(input) + " has " + std::to_string(count) + " items";
}

struct Lines {
  int64_t a_rows = 1, a_total = 0, b_total = 0;
};

Refusal start(const OpContext& context, int a, int b, gpu::ByteGemm& gemm, Lines& lines) {
  if (!kBytes.has(context.type(b))) return "a product with " + std::string(name(context.type(b)));
  gemm.problem = plain_problem(context.shape(a), context.shape(b), false, false);
  if (gemm.problem.k == 0) return "a product of nothing";
  gemm.a = GpuWork::input(a);
  gemm.b = GpuWork::input(b);
  gemm.a_signed = context.type(a) == DataType::Int8;
  gemm.b_signed = context.type(b) == DataType::Int8;
  const Shape& shape = context.shape(a);
  lines.a_rows = shape.rank() > 1 ? shape[shape.size() - 2] : 1;
  lines.a_total = shape.count() / gemm.problem.k;
  lines.b_total = context.shape(b).count() / gemm.problem.k;
  return std::nullopt;
}

GpuOperand operand(const OpContext& context, int input) {
  return context.has_input(input) ? GpuWork::input(input) : GpuWork::none();
}

Refusal integer_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::ByteGemm gemm;
  Lines lines;
  if (context.shape(0).back() == 0) {
    constexpr std::byte kZero[sizeof(int32_t)] = {};
    return gpu::add_fill(work, GpuWork::output(0), context.out(0).shape.count(), kZero, traits);
  }
  if (Refusal refusal = start(context, 0, 1, gemm, lines)) return refusal;
  gemm.a_zero = operand(context, 2);
  gemm.b_zero = operand(context, 3);
  if (Refusal refusal = count_of(context, 2, lines.a_rows, lines.a_total, gemm.a_zeros)) return refusal;
  if (Refusal refusal = count_of(context, 3, gemm.problem.n, lines.b_total, gemm.b_zeros)) return refusal;
  return gpu::add_byte_gemm(gemm, traits, work);
}

Refusal qlinear_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::ByteGemm gemm;
  Lines lines;
  if (Refusal refusal = start(context, 0, 3, gemm, lines)) return refusal;
  if (!kBytes.has(context.out(0).type)) return "a result of " + std::string(name(context.out(0).type));
  for (const int scale : {1, 4, 6})
    if (context.type(scale) != DataType::Float) return "scales of " + std::string(name(context.type(scale)));
  gemm.y_signed = context.out(0).type == DataType::Int8;
  gemm.a_scale = GpuWork::input(1);
  gemm.a_zero = GpuWork::input(2);
  gemm.b_scale = GpuWork::input(4);
  gemm.b_zero = GpuWork::input(5);
  gemm.y_scale = GpuWork::input(6);
  gemm.y_zero = GpuWork::input(7);
  const int64_t columns = gemm.problem.n, rows = gemm.problem.batch() * gemm.problem.m;
  const struct {
    int input;
    int64_t lines, total;
    int64_t& count;
  } parameters[] = {{1, lines.a_rows, lines.a_total, gemm.a_scales}, {2, lines.a_rows, lines.a_total, gemm.a_zeros},
                    {4, columns, lines.b_total, gemm.b_scales},      {5, columns, lines.b_total, gemm.b_zeros},
                    {6, lines.a_rows, rows, gemm.y_scales},          {7, lines.a_rows, rows, gemm.y_zeros}};
  for (const auto& parameter : parameters) {
    if (Refusal refusal = count_of(context, parameter.input, parameter.lines, parameter.total, parameter.count))
      return refusal;
    if (parameter.count < 1) return "a scale or zero point is empty";
  }
  return gpu::add_byte_gemm(gemm, traits, work);
}

}  // namespace

constinit const GpuRecipe kGpuInteger{kBytes, integer_work, true};
constinit const GpuRecipe kGpuQlinear{kBytes, qlinear_work};

}  // namespace fastort::matmul
