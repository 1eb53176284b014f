#include "ops/conv/gpu_winograd.h"

#include <algorithm>

#include "ops/gpu/epilogue.h"
#include "ops/gpu/gemm.h"

namespace fastort::conv {
namespace {

constexpr int64_t kElements = 16;  // of a transformed window
constexpr uint32_t kGroup = 64;

// Of the channels that come in and go out: with fewer the transforms move more bytes than the products save.
constexpr int64_t kManyChannels = 128;

bool serves(const OpContext& context, const kernels::ConvShape& shape) {
  return context.constant(kW) && context.type(kW) == DataType::Float && context.options.allow_winograd &&
         shape.rank == 2 && shape.groups == 1 && shape.all(shape.kernel, 3) && shape.all(shape.stride, 1) &&
         shape.all(shape.dilation, 1);
}

// U = G g G^T for each pair of channels, as 16 matrices [out_channels, in_channels].
void transform_weights(const float* src, int64_t pairs, float* dst) {
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const float* g = src + pair * 9;
    float rows[4][3];
    for (int j = 0; j < 3; ++j) {
      rows[0][j] = g[j];
      rows[1][j] = 0.5f * (g[j] + g[3 + j] + g[6 + j]);
      rows[2][j] = 0.5f * (g[j] - g[3 + j] + g[6 + j]);
      rows[3][j] = g[6 + j];
    }
    for (int i = 0; i < 4; ++i) {
      const float* r = rows[i];
      const float u[4] = {r[0], 0.5f * (r[0] + r[1] + r[2]), 0.5f * (r[0] - r[1] + r[2]), r[2]};
      for (int j = 0; j < 4; ++j) dst[(4 * i + j) * pairs + pair] = u[j];
    }
  }
}

}  // namespace

bool add_winograd(const OpContext& context, const Problem& problem, const GpuTraits& traits, GpuWork& work) {
  const kernels::ConvShape& shape = problem.shape;
  // Transformed weights are float32.
  if (traits.halves || traits.winograd == GpuTraits::Choice::Never || !serves(context, shape)) return false;
  const int64_t channels = shape.in_channels, filters = shape.out_channels;
  const bool by_rule = traits.winograd == GpuTraits::Choice::ByRule;
  if (by_rule && (traits.slow_shared || std::min(channels, filters) < kManyChannels)) return false;
  const int64_t down = (shape.out[0] + 1) / 2, across = (shape.out[1] + 1) / 2;
  const int64_t windows = shape.batch * down * across;
  // Shaders count the elements of both transforms in 32 bits.
  constexpr int64_t kMost = int64_t{1} << 30;
  if (kElements * std::max(channels, filters) * windows > kMost) return false;

  const Tensor weights = *context.constant(kW);
  GpuConstant transformed;
  transformed.bytes = static_cast<size_t>(kElements * channels * filters) * sizeof(float);
  transformed.source = context.constant(kW);
  transformed.format = "winograd 2x2";
  transformed.fill = [weights, pairs = channels * filters](std::byte* into) {
    transform_weights(weights.data<float>(), pairs, reinterpret_cast<float*>(into));
  };
  const GpuOperand u = work.constant(std::move(transformed));
  const GpuOperand v = work.scratch(static_cast<size_t>(kElements * channels * windows) * sizeof(float));
  const GpuOperand m = work.scratch(static_cast<size_t>(kElements * filters * windows) * sizeof(float));

  GpuDispatch& input = work.dispatch("winograd_input");
  input.operands = {GpuWork::written(v), GpuWork::input(kX)};
  input.push.u32(channels * windows).u32(channels).u32(shape.in[0]).u32(shape.in[1]);
  input.push.u32(across).u32(down).u32(windows).u32(shape.pad_begin[0]).u32(shape.pad_begin[1]);
  input.groups = groups_for(channels * windows, kGroup, traits);

  gpu::Gemm gemm;
  gemm.m = filters;
  gemm.n = windows;
  gemm.k = channels;
  gemm.a_row = channels;
  gemm.b_step = windows;
  for (int64_t i = 0; i < kElements; ++i) {
    gemm.a_offsets.push_back(i * filters * channels);
    gemm.b_offsets.push_back(i * channels * windows);
  }
  gemm.a = u;
  gemm.b = v;
  gemm.result = GpuWork::written(m);
  if (add_gemm(gemm, traits, work)) {
    work = {};
    return false;
  }

  const gpu::EpilogueFunction activation = gpu::epilogue_function(problem.epilogue.activation);
  GpuDispatch& output = work.dispatch("winograd_output");
  output.constants = {problem.epilogue.bias ? 3u : 0u, problem.epilogue.residual ? 1u : 0u, activation.code};
  output.operands = {GpuWork::output(0), m, problem.epilogue.bias ? GpuWork::input(kB) : GpuWork::none(),
                     problem.epilogue.residual ? GpuWork::input(kZ) : GpuWork::none()};
  output.push.u32(filters * windows).u32(filters).u32(shape.out[0]).u32(shape.out[1]);
  output.push.u32(across).u32(down).u32(windows).f32(activation.params.a).f32(activation.params.b);
  output.groups = groups_for(filters * windows, kGroup, traits);
  return true;
}

}  // namespace fastort::conv
