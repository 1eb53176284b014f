#include "ops/conv/conv.h"
#include "ops/conv/gpu_winograd.h"
#include "ops/gpu/epilogue.h"
#include "ops/gpu/gemm.h"
#include "ops/gpu/tiles.h"
#include "ops/gpu/window.h"

namespace fastort::conv {
namespace {

// The product of `gemm` with what stands behind the convolution; `addend_mode` says along which side the bias lies.
Refusal add_product(gpu::Gemm& gemm, const Problem& problem, uint32_t addend_mode, const GpuTraits& traits,
                    GpuWork& work) {
  gemm.activation = problem.epilogue.activation;
  gemm.result = GpuWork::output(0);
  if (problem.epilogue.bias) {
    gemm.addend = GpuWork::input(kB);
    gemm.addend_mode = addend_mode;
  }
  if (problem.epilogue.residual) gemm.residual = GpuWork::input(kZ);
  return add_gemm(gemm, traits, work);
}

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
  gemm.a = GpuWork::input(kW);
  gemm.b = GpuWork::input(kX);
  return add_product(gemm, problem, 3, traits, work);
}

// The same for maps of one pixel, in which the whole batch is one product: maps [batch, C] with weights [M, C].
Refusal single_pixels(const Problem& problem, const GpuTraits& traits, GpuWork& work) {
  const kernels::ConvShape& shape = problem.shape;
  gpu::Gemm gemm;
  gemm.m = shape.batch;
  gemm.n = shape.out_channels;
  gemm.k = shape.in_channels;
  gemm.a_row = gemm.k;
  gemm.b_step = 1;
  gemm.b_column = gemm.k;
  gemm.a_offsets = {0};
  gemm.b_offsets = {0};
  gemm.a = GpuWork::input(kX);
  gemm.b = GpuWork::input(kW);
  return add_product(gemm, problem, 2, traits, work);
}

struct Variant {
  const char* shader;
  int64_t rows, columns;
};

Variant choose(int64_t out_group, int64_t pixels) {
  if (out_group < 4) return {"conv.depthwise", 1, 256};
  return pixels > 128 ? Variant{"conv.wide", 8, 256} : Variant{"conv.narrow", 8, 64};
}

// Maps of one or two dimensions; one dimension is a map of one row.
struct Maps {
  explicit Maps(const kernels::ConvShape& of) : shape(of), x(of.rank == 2 ? 1 : 0) {}
  template <typename Sizes>
  int64_t rows(const Sizes& sizes, int64_t single) const {
    return shape.rank == 2 ? sizes[0] : single;
  }
  const kernels::ConvShape& shape;
  size_t x;
};

std::vector<GpuOperand> operands_of(const Problem& problem) {
  return {GpuWork::output(0), GpuWork::input(kX), GpuWork::input(kW),
          problem.epilogue.bias ? GpuWork::input(kB) : GpuWork::none(),
          problem.epilogue.residual ? GpuWork::input(kZ) : GpuWork::none()};
}

// A product out of work-group memory over the pixels of all images. False where the device has no such kernel.
bool tiled(const Problem& problem, const GpuTraits& traits, GpuWork& work) {
  const kernels::ConvShape& shape = problem.shape;
  if (traits.slow_shared || shape.groups != 1) return false;
  const Maps maps(shape);
  gpu::Product product;
  product.m = shape.out_channels;
  product.n = shape.batch * shape.out_pixels();
  product.k = shape.in_channels * shape.taps();
  const gpu::EpilogueFunction activation = gpu::epilogue_function(problem.epilogue.activation);
  const auto height = static_cast<uint32_t>(maps.rows(shape.kernel, 1));
  const auto width = static_cast<uint32_t>(shape.kernel[maps.x]);
  const gpu::Tile tile = gpu::best_tile(product, traits);
  if (tile.rows == 0) return false;
  const auto groups = gpu::tile_groups(product, tile, traits);
  if (!groups) return false;
  gpu::PartSums sums;
  sums.items = shape.batch;
  sums.m = product.m;
  sums.n = shape.out_pixels();
  sums.parts = tile.parts.count;
  const bool in_parts = sums.parts > 1;
  if (in_parts) sums.sums = work.scratch(sums.bytes());
  sums.epilogue = {problem.epilogue.bias ? 3u : 0u, problem.epilogue.residual ? 1u : 0u, activation.code};
  const char* matrices = traits.matrix_elements ? "conv_matrix2" : "conv_matrix";
  GpuDispatch& dispatch = work.dispatch(tile.matrices ? matrices : "conv_tile");
  dispatch.constants = sums.epilogue;
  dispatch.constants.insert(dispatch.constants.end(), tile.constants.begin(), tile.constants.end());
  const int64_t chunk = tile.matrices ? 8 : 4;
  dispatch.constants.insert(dispatch.constants.end(), {product.k % chunk == 0 ? 1u : 0u, height, width});
  if (in_parts) dispatch.constants.push_back(static_cast<uint32_t>(sums.parts));
  dispatch.groups = *groups;
  dispatch.operands = operands_of(problem);
  if (in_parts) {
    dispatch.operands[0] = GpuWork::none();
    dispatch.operands.push_back(GpuWork::written(sums.sums));
  }
  dispatch.push.u32(product.m).u32(product.n).u32(product.k).u32(shape.in_channels);
  dispatch.push.u32(maps.rows(shape.in, 1)).u32(shape.in[maps.x]);
  dispatch.push.u32(maps.rows(shape.out, 1)).u32(shape.out[maps.x]);
  dispatch.push.u32(maps.rows(shape.stride, 1)).u32(shape.stride[maps.x]);
  dispatch.push.u32(maps.rows(shape.dilation, 1)).u32(shape.dilation[maps.x]);
  dispatch.push.u32(maps.rows(shape.pad_begin, 0)).u32(shape.pad_begin[maps.x]).u32(tile.parts.steps);
  dispatch.push.f32(activation.params.a).f32(activation.params.b);
  dispatch.flops =
      2.0 * static_cast<double>(product.m) * static_cast<double>(product.n) * static_cast<double>(product.k);
  if (!in_parts) return true;
  sums.c_row = sums.n;
  sums.act_a = activation.params.a;
  sums.act_b = activation.params.b;
  const std::vector<GpuOperand> operands = operands_of(problem);
  sums.result = operands[0];
  sums.addend = operands[3];
  sums.residual = operands[4];
  gpu::add_part_sums(work, sums, traits);
  return true;
}

// Small maps of a batch are one product, in which tiles are full; others are read in wide words.
bool pointwise_by_image(const kernels::ConvShape& shape, const GpuTraits& traits) {
  constexpr int64_t kWide = 8, kManyPixels = 512;
  return traits.slow_shared ||
         (shape.out_pixels() % kWide == 0 && (shape.batch == 1 || shape.out_pixels() >= kManyPixels));
}

Refusal work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  for (int i = 0; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != DataType::Float) return "inputs of other types than float32";
  const Problem problem = read_problem(context);
  const kernels::ConvShape& shape = problem.shape;
  if (refuse_odd_sizes(shape) || shape.rank > 2) {
    if (shape.in_group() == 0 || context.shape(kX).count() == 0) return "no elements to add up";
    return gpu::add_conv_any(work, shape, problem.epilogue, /*transposed=*/false, operands_of(problem), traits);
  }
  const bool product = shape.pointwise() && shape.groups == 1;
  if (product && shape.out_pixels() == 1) return single_pixels(problem, traits, work);
  if (product && pointwise_by_image(shape, traits)) return pointwise(problem, traits, work);
  if (add_winograd(context, problem, traits, work)) return std::nullopt;
  if (tiled(problem, traits, work)) return std::nullopt;
  if (product) return pointwise(problem, traits, work);
  const Maps maps(shape);
  const size_t x = maps.x;
  auto rows = [&](const auto& sizes, int64_t single) { return maps.rows(sizes, single); };
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
  dispatch.operands = operands_of(problem);
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
