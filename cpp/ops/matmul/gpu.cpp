#include "ops/gpu/gemm.h"
#include "ops/matmul/matmul.h"

namespace fastort::matmul {
namespace {

Refusal work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != DataType::Float) return "inputs of other types than float32";
  const Problem problem = read_problem(context);
  gpu::Gemm gemm;
  gemm.m = problem.m;
  gemm.n = problem.n;
  gemm.k = problem.k;
  gemm.a_row = problem.trans_a ? 1 : problem.a_stride;
  gemm.a_step = problem.trans_a ? problem.a_stride : 1;
  gemm.b_step = problem.trans_b ? 1 : problem.b_stride;
  gemm.b_column = problem.trans_b ? problem.b_stride : 1;
  gemm.a_offsets = problem.a_offsets;
  gemm.b_offsets = problem.b_offsets;
  gemm.alpha = problem.alpha;
  gemm.beta = problem.beta;
  gemm.activation = problem.activation;
  gemm.a = GpuWork::input(0);
  gemm.b = GpuWork::input(1);
  gemm.result = GpuWork::output(0);
  if (problem.bias >= 0) {
    gemm.addend = GpuWork::input(problem.bias);
    gemm.addend_mode = static_cast<uint32_t>(problem.addend);
  }
  if (problem.residual >= 0) gemm.residual = GpuWork::input(problem.residual);
  return add_gemm(gemm, traits, work);
}

}  // namespace

constinit const GpuRecipe kGpu{kFloat32, work};

}  // namespace fastort::matmul
