#include <algorithm>

#include "ops/matmul/matmul.h"
#include "ops/quantized/product.h"

// MatMulInteger and QLinearMatMul on the packed integer kernel: one zero point for A, one or one a column for B.
namespace fastort::matmul {

namespace {

using kernels::IgemmEpilogue;
using quantized::Affine;
using quantized::Product;

Refusal refuse_lines(const OpContext& context, int input, const char* what) {
  if (!context.has_input(input) || context.shape(input).count() == 1) return {};
  return std::string(what) + " with more than one value";
}

int64_t columns(const OpContext& context, int b) {
  const Shape& shape = context.shape(b);
  return shape.rank() == 1 ? 1 : shape.back();
}

}  // namespace

Refusal accepts_integer_packed(const OpContext& context) {
  if (Refusal refusal = refuse_lines(context, 2, "a zero point of A")) return refusal;
  return quantized::refuse_columns(context, 3, columns(context, 1), "the zero point of B");
}

std::unique_ptr<Kernel> prepare_integer_packed(const OpContext& context) {
  const bool a_signed = quantized::is_signed(context.type(0)), has_zero = context.has_input(2);
  const Product product(context, plain_problem(context.shape(0), context.shape(1), false, false), {0, 1, 3}, a_signed,
                        quantized::is_signed(context.type(1)));
  return make_kernel(
      [=](const KernelArgs& args) {
        const int32_t zero = has_zero ? kernels::read_byte(*args.in<std::byte>(2), a_signed) : 0;
        product.run(args, args.in<std::byte>(0), zero, IgemmEpilogue{}, args.out<std::byte>(0), args.workspace);
      },
      product.workspace_bytes());
}

Refusal accepts_qlinear_packed(const OpContext& context) {
  for (const int scale : {1, 4, 6})
    if (context.type(scale) != DataType::Float) return "scales that are not float";
  for (const int input : {1, 2, 6, 7})
    if (Refusal refusal = refuse_lines(context, input, "a scale or zero point of A or the output")) return refusal;
  const int64_t n = columns(context, 3);
  if (Refusal refusal = quantized::refuse_columns(context, 4, n, "the scale of B")) return refusal;
  return quantized::refuse_columns(context, 5, n, "the zero point of B");
}

std::unique_ptr<Kernel> prepare_qlinear_packed(const OpContext& context) {
  const Affine a(context, 1, 2, context.type(0)), y(context, 6, 7, context.type(7));
  const Product product(context, plain_problem(context.shape(0), context.shape(3), false, false), {0, 3, 5},
                        a.is_signed(), quantized::is_signed(context.type(3)));
  const bool one_scale = context.shape(4).count() == 1;
  const size_t scales_at = align_up(product.workspace_bytes());
  return make_kernel(
      [=](const KernelArgs& args) {
        const kernels::ByteScale from = a.read(args), to = y.read(args);
        auto* const scales = reinterpret_cast<float*>(args.workspace + scales_at);
        std::fill(scales, scales + product.padded_columns(), 0.0f);
        for (int64_t j = 0; j < product.problem().n; ++j)
          scales[j] = from.scale * args.in<float>(4)[one_scale ? 0 : j] / to.scale;
        const auto range = kernels::ByteRange::of(y.is_signed(), to.zero);
        IgemmEpilogue epilogue;
        epilogue.kind = y.is_signed() ? IgemmEpilogue::Kind::Int8 : IgemmEpilogue::Kind::UInt8;
        epilogue.scales = scales;
        epilogue.low = range.low, epilogue.high = range.high, epilogue.zero = range.zero;
        product.run(args, args.in<std::byte>(0), from.zero, epilogue, args.out<std::byte>(0), args.workspace);
      },
      scales_at + static_cast<size_t>(product.padded_columns()) * sizeof(float));
}

}  // namespace fastort::matmul
