#include "ops/matmul/matmul.h"

#include <string>

namespace fastort {

namespace {

using namespace matmul;

void check_types(InferContext& context) {
  for (int i = 1; i < context.num_inputs(); ++i) {
    if (!context.has_input(i) || context.type(i) == context.type(0)) continue;
    if (context.type(i) == DataType::Undefined || context.type(0) == DataType::Undefined) continue;
    context.fail("all inputs must have the same element type; insert a Cast");
  }
}

void refuse_activation(const InferContext& context) {
  if (read_activation(context.attributes()).kind != Activation::None && is_integer(context.type(0)))
    not_implemented("an activation fused into a product of integers");
}

void infer_matmul(InferContext& context) {
  check_types(context);
  refuse_activation(context);
  if (!context.has_shape(0) || !context.has_shape(1)) return context.out(0, context.type(0));
  const Attributes& attributes = context.attributes();
  Shape a = context.shape(0), b = context.shape(1);
  // [rows, batch..., cols] becomes [batch..., rows, cols].
  const auto move_rows = [&](Shape& shape, const char* attribute) {
    if (attributes.get_int(attribute, 0) == 0) return;
    if (shape.rank() < 3) context.fail(std::string(attribute) + " needs at least three dimensions");
    const Dim rows = shape[0];
    shape.erase(0);
    shape.insert(shape.size() - 1, rows);
  };
  move_rows(a, "transBatchA");
  move_rows(b, "transBatchB");
  Shape shape =
      product_shape(context, a, b, attributes.get_int("transA", 0) != 0, attributes.get_int("transB", 0) != 0);
  const auto fits = [](Dim have, Dim want) { return have == want || !is_known(have) || !is_known(want); };
  if (context.has_shape(2)) {
    const Shape& bias = context.shape(2);
    if (bias.rank() != 1 || shape.rank() == 0 || !fits(bias[0], shape.back()))
      context.fail("the bias must have one number for each column of the product " + to_string(shape));
  }
  if (context.has_shape(3)) {
    const Shape& residual = context.shape(3);
    bool same = residual.rank() == shape.rank();
    for (size_t d = 0; same && d < shape.size(); ++d) same = fits(residual[d], shape[d]);
    if (!same) context.fail("the residual must have the shape of the product " + to_string(shape));
  }
  context.out(0, context.type(0), std::move(shape));
}

void infer_gemm(InferContext& context) {
  check_types(context);
  refuse_activation(context);
  if (!context.has_shape(0) || !context.has_shape(1)) return context.out(0, context.type(0));
  if (context.shape(0).rank() != 2 || context.shape(1).rank() != 2) context.fail("A and B must be matrices");
  const Attributes& attributes = context.attributes();
  Shape shape = product_shape(context, context.shape(0), context.shape(1), attributes.get_int("transA", 0) != 0,
                              attributes.get_int("transB", 0) != 0);
  if (context.has_shape(2)) {
    const Shape& c = context.shape(2);
    bool fits = c.rank() <= 2;
    for (size_t d = 0; fits && d < c.size(); ++d) {
      const Dim want = shape[2 - c.size() + d];
      fits = c[d] == want || c[d] == 1 || !is_known(c[d]) || !is_known(want);
    }
    if (!fits) context.fail("C does not broadcast to the product " + to_string(shape));
  }
  context.out(0, context.type(0), std::move(shape));
}

constexpr Candidate kProduct[] = {
    {.name = "amx", .accepts = accepts_amx, .prepare = prepare_amx, .cost = cost_amx},
    {.name = "strassen", .accepts = accepts_strassen, .prepare = prepare_strassen, .cost = cost_strassen},
    {.name = "packed", .accepts = accepts_packed, .prepare = prepare_packed, .cost = cost_packed},
    {.name = "reference", .prepare = prepare_reference}};
constexpr Candidate kInteger[] = {
    {.name = "packed", .accepts = accepts_integer_packed, .prepare = prepare_integer_packed},
    {.name = "reference", .prepare = prepare_integer}};
constexpr Candidate kQlinear[] = {
    {.name = "packed", .accepts = accepts_qlinear_packed, .prepare = prepare_qlinear_packed},
    {.name = "reference", .prepare = prepare_qlinear}};

constexpr TypeMask kProductTypes =
    kFloatTypes | TypeMask{DataType::Int32, DataType::Int64, DataType::UInt32, DataType::UInt64};
constexpr TypeMask kByteTypes{DataType::Int8, DataType::UInt8};

constexpr OpDef kOps[] = {
    {.domain = "", .name = "MatMul", .infer = infer_matmul, .cpu = kProduct, .types = kProductTypes, .gpu = &kGpu},
    {.domain = "", .name = "Gemm", .infer = infer_gemm, .cpu = kProduct, .types = kProductTypes, .gpu = &kGpu},
    {.domain = "",
     .name = "MatMulInteger",
     .infer = infer_integer,
     .cpu = kInteger,
     .types = kByteTypes,
     .gpu = &kGpuInteger},
    {.domain = "",
     .name = "QLinearMatMul",
     .infer = infer_qlinear,
     .cpu = kQlinear,
     .types = kByteTypes,
     .gpu = &kGpuQlinear},
    {.domain = "com.microsoft",
     .name = "FusedGemm",
     .infer = infer_gemm,
     .cpu = kProduct,
     .types = kProductTypes,
     .gpu = &kGpu},
    {.domain = "com.microsoft",
     .name = "FusedMatMul",
     .infer = infer_matmul,
     .cpu = kProduct,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "com.microsoft",
     .name = "FusedMatMulActivation",
     .infer = infer_matmul,
     .cpu = kProduct,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "com.microsoft",
     .name = "TransposeMatMul",
     .infer = infer_matmul,
     .cpu = kProduct,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "fastort",
     .name = "MatMulEpilogue",
     .infer = infer_matmul,
     .cpu = kProduct,
     .types = kFloatTypes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> matmul_ops() { return kOps; }

}  // namespace fastort
