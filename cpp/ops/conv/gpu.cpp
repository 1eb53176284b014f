#include "ops/conv/conv.h"
#include "ops/gpu/epilogue.h"
#include "ops/gpu/gemm.h"
#include "ops/gpu/window.h"

namespace fastort::conv {
namespace {

// A kernel of one pixel without strides and pads: a product of weights [M, C] with maps [C, pixels].
Refusal pointwise(const Problem& problem, const GpuTraits& traits, GpuWork& work) {
  const kernels::ConvShape& shape = problem.shape;
  gpu::Gemm gemm;
  gemm.m = shape.out_channels;
  gemm.n = shape.out_pixels();
  gemm.k = shape.in_channels;
  gemm.a_row = gemm.k;
  gemm.b_step = gemm.n;
  for (int64_t i = 0; i < shape.batch; ++i) {
    gemm.a_offsets.push_back(0);
    gemm.b_offsets.push_back(i * gemm.k * gemm.n);
  }
  gemm.activation = problem.epilogue.activation;
  gemm.a = GpuWork::input(kW);
  gemm.b = GpuWork::input(kX);
  gemm.result = GpuWork::output(0);
  if (problem.epilogue.bias) {
    gemm.addend = GpuWork::input(kB);
    gemm.addend_mode = 3;
  }
  if (problem.epilogue.residual) gemm.residual = GpuWork::input(kZ);
  return add_gemm(gemm, traits, work);
}

bool is_pointwise(const kernels::ConvShape& shape) {
  if (shape.groups != 1 || shape.taps() != 1) return false;
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i)
    if (shape.stride[i] != 1 || shape.pad_begin[i] != 0 || shape.pad_end[i] != 0) return false;
  return true;
}

struct Variant {
  const char* shader;
  int64_t rows, columns;
};

Variant choose(int64_t out_group, int64_t pixels) {
  if (out_group < 4) return {"conv.depthwise", 1, 256};
  return pixels > 128 ? Variant{"conv.wide", 8, 256} : Variant{"conv.narrow", 8, 64};
}

Refusal work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != DataType::Float) return "inputs of other types than float32";
  const Problem problem = read_problem(context);
  const kernels::ConvShape& shape = problem.shape;
  if (refuse_odd_sizes(shape) || shape.rank > 2) {
    if (shape.in_group() == 0 || context.shape(kX).count() == 0) return "no elements to add up";
    return gpu::add_conv_any(work, shape, problem.epilogue, /*transposed=*/false,
                             {GpuWork::output(0), GpuWork::input(kX), GpuWork::input(kW),
                              problem.epilogue.bias ? GpuWork::input(kB) : GpuWork::none(),
                              problem.epilogue.residual ? GpuWork::input(kZ) : GpuWork::none()},
                             traits);
  }
  if (is_pointwise(shape)) return pointwise(problem, traits, work);
  // One dimension is a map of one row.
  const size_t x = shape.rank == 2 ? 1 : 0;
  auto rows = [&](const auto& sizes, int64_t single) { return shape.rank == 2 ? sizes[0] : single; };
  const int64_t out_group = shape.out_channels / shape.groups;
  const Variant variant = choose(out_group, shape.out_pixels());
  const int64_t row_blocks = (out_group + variant.rows - 1) / variant.rows;
  const int64_t columns = (shape.out_pixels() + variant.columns - 1) / variant.columns;
  if (columns > traits.max_groups[0] || row_blocks * shape.groups > traits.max_groups[1] ||
      shape.batch > traits.max_groups[2])
    return "a convolution larger than the device's grid";
  const gpu::EpilogueFunction activation = gpu::epilogue_function(problem.epilogue.activation);
  GpuDispatch& dispatch = work.dispatch(variant.shader);
  dispatch.constants = {problem.epilogue.bias ? 3u : 0u, problem.epilogue.residual ? 1u : 0u, activation.code,
                        static_cast<uint32_t>(rows(shape.kernel, 1)), static_cast<uint32_t>(shape.kernel[x])};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(kX), GpuWork::input(kW),
                       problem.epilogue.bias ? GpuWork::input(kB) : GpuWork::none(),
                       problem.epilogue.residual ? GpuWork::input(kZ) : GpuWork::none()};
  dispatch.push.u32(shape.in_group()).u32(out_group).u32(shape.groups);
  dispatch.push.u32(rows(shape.in, 1)).u32(shape.in[x]).u32(rows(shape.out, 1)).u32(shape.out[x]);
  dispatch.push.u32(rows(shape.stride, 1)).u32(shape.stride[x]).u32(rows(shape.dilation, 1)).u32(shape.dilation[x]);
  dispatch.push.u32(rows(shape.pad_begin, 0)).u32(shape.pad_begin[x]).u32(row_blocks);
  dispatch.push.f32(activation.params.a).f32(activation.params.b);
  dispatch.flops = 2.0 * static_cast<double>(shape.batch * shape.out_channels) *
                   static_cast<double>(shape.out_pixels()) * static_cast<double>(shape.in_group() * shape.taps());
  dispatch.groups = {static_cast<uint32_t>(columns), static_cast<uint32_t>(row_blocks * shape.groups),
                     static_cast<uint32_t>(shape.batch)};
  return std::nullopt;
}

}  // namespace

constinit const GpuRecipe kGpu{kFloat32, work};

}  // namespace fastort::conv
