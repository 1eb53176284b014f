#pragma once

#include <vector>

#include "kernels/activation.h"
#include "ops/gpu.h"

// The parts of MatMul, Gemm and their fused kin: one file for each way to compute them.
namespace fastort::matmul {

// How the addend of Gemm and of the fused forms meets the product [m, n].
enum class Addend : uint8_t { None, Scalar, PerColumn, PerRow, Full };

// output = activation(alpha * A * B + beta * bias + residual) for each item of a batch. Operands lie in memory as [m,
// k] and [k, n], or as [k, m] and [n, k] where transposed; strides are between rows in memory.
struct Problem {
  int64_t m = 0, n = 0, k = 0;
  bool trans_a = false, trans_b = false;
  int64_t a_stride = 0, b_stride = 0;
  std::vector<int64_t> a_offsets,
      b_offsets;  // in elements, one for each batch item; item i of the output follows i - 1
  float alpha = 1, beta = 1;
  int bias = -1, residual = -1;  // inputs
  Addend addend = Addend::None;
  ActivationSpec activation;

  int64_t batch() const { return static_cast<int64_t>(a_offsets.size()); }
};

// What is applied to the product; throws NotImplemented for one that the kernels do not know.
ActivationSpec read_activation(const Attributes& attributes);

// Reads a node of any of the operators with concrete sizes.
Problem read_problem(const OpContext& context);

// float32, float16 and bfloat16 through the packed product.
Refusal accepts_packed(const OpContext& context);
double cost_packed(const OpContext& context);
std::unique_ptr<Kernel> prepare_packed(const OpContext& context);

// The same by the processor's matrix unit (kernels/gemm/amx.h).
Refusal accepts_amx(const OpContext& context);
double cost_amx(const OpContext& context);
std::unique_ptr<Kernel> prepare_amx(const OpContext& context);

// The same with fewer products, of which sums are made (kernels/gemm/strassen.h).
Refusal accepts_strassen(const OpContext& context);
double cost_strassen(const OpContext& context);
std::unique_ptr<Kernel> prepare_strassen(const OpContext& context);

// float32 on the GPU.
extern const GpuRecipe kGpu;
// MatMulInteger and QLinearMatMul.
extern const GpuRecipe kGpuInteger, kGpuQlinear;

// Plain loops in the type itself (float16 and bfloat16 in float32).
std::unique_ptr<Kernel> prepare_reference(const OpContext& context);

// The operators of quantized products.
void infer_integer(InferContext& context);
void infer_qlinear(InferContext& context);
std::unique_ptr<Kernel> prepare_integer(const OpContext& context);
std::unique_ptr<Kernel> prepare_qlinear(const OpContext& context);
Refusal accepts_integer_packed(const OpContext& context);
Refusal accepts_qlinear_packed(const OpContext& context);
std::unique_ptr<Kernel> prepare_integer_packed(const OpContext& context);
std::unique_ptr<Kernel> prepare_qlinear_packed(const OpContext& context);

// The shape of A * B by the rules of numpy.matmul.
Shape product_shape(const InferContext& context, Shape a, Shape b, bool trans_a, bool trans_b);
// The batches of a product by the rules of numpy.matmul; sizes are concrete and fit.
Problem plain_problem(const Shape& a, const Shape& b, bool trans_a, bool trans_b);

}  // namespace fastort::matmul
