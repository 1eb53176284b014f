#include "kernels/sample/sample.h"

#include <algorithm>

#include "ops/core/move.h"
#include "ops/gpu.h"

namespace fastort {
namespace {

// ---- GridSample ----------------------------------------------------------------------------------------------------

kernels::SampleMode sample_mode(const Node& node) {
  const std::string mode = node.attributes.get_string("mode", "linear");
  if (mode == "nearest") return kernels::SampleMode::Nearest;
  if (mode == "linear" || mode == "bilinear") return kernels::SampleMode::Linear;
  if (mode == "cubic" || mode == "bicubic") return kernels::SampleMode::Cubic;
  invalid_graph("mode '" + mode + "' is none of linear, nearest and cubic");
}

kernels::SamplePadding sample_padding(const Node& node) {
  const std::string mode = node.attributes.get_string("padding_mode", "zeros");
  if (mode == "zeros") return kernels::SamplePadding::Zeros;
  if (mode == "border") return kernels::SamplePadding::Border;
  if (mode == "reflection") return kernels::SamplePadding::Reflection;
  invalid_graph("padding_mode '" + mode + "' is none of zeros, border and reflection");
}

void infer_grid_sample(InferContext& context) {
  if (sample_mode(context.node) != kernels::SampleMode::Nearest)
    require_types(context, kSummed, "a weighted sum of pixels");
  sample_padding(context.node);
  if (!context.has_shape(0) || !context.has_shape(1)) return context.out(0, context.type(0));
  const Shape &src = context.shape(0), &grid = context.shape(1);
  if (src.rank() != grid.rank() || src.rank() < 3 || src.rank() > 2 + kernels::GridSample::kMaxDims)
    context.fail("X and grid must have the same rank, from 3 to " + std::to_string(2 + kernels::GridSample::kMaxDims));
  if (is_known(grid.back()) && grid.back() != src.rank() - 2)
    context.fail("the grid's last dimension must be " + std::to_string(src.rank() - 2));
  if (is_known(src[0]) && is_known(grid[0]) && src[0] != grid[0]) context.fail("X and grid have different batches");
  Shape shape{src[0], src[1]};
  for (size_t i = 1; i + 1 < grid.size(); ++i) shape.push_back(grid[i]);
  context.out(0, context.type(0), shape);
}

Refusal gpu_grid_sample(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape &src = context.shape(0), &grid = context.shape(1);
  const int dims = src.rank() - 2;
  if (dims > 3) return "more than three spatial dimensions";
  if (context.type(1) != DataType::Float) return "a grid of another type than float32";
  const int64_t count = context.out(0).shape.count();
  GpuDispatch& dispatch = work.dispatch("grid_sample");
  dispatch.constants = {static_cast<uint32_t>(dims), static_cast<uint32_t>(sample_mode(context.node)),
                        static_cast<uint32_t>(sample_padding(context.node)),
                        context.attributes().get_int("align_corners", 0) != 0 ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1)};
  dispatch.push.u32(count).u32(src[1]).u32(grid.count(1, dims + 1));
  for (int d = 3; d > 0; --d) dispatch.push.i32(d <= dims ? src[static_cast<size_t>(src.rank() - d)] : 1);
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}
constexpr GpuRecipe kGpuGridSample{kFloat32, gpu_grid_sample};

std::unique_ptr<Kernel> prepare_grid_sample(const OpContext& context) {
  const kernels::GridSample sample{context.type(0),
                                   context.type(1),
                                   context.shape(0),
                                   context.shape(1),
                                   sample_mode(context.node),
                                   sample_padding(context.node),
                                   context.attributes().get_int("align_corners", 0) != 0};
  const Shape& src = context.shape(0);
  if (src.count(2, src.rank()) == 0 && context.out(0).shape.count() > 0) context.fail("X has no pixels");
  return make_kernel([sample](const KernelArgs& args) {
    sample.run(args.pointers[0], args.pointers[1], args.pointers[args.num_inputs], args.parallel);
  });
}

// ---- RoiAlign ------------------------------------------------------------------------------------------------------

void infer_roi_align(InferContext& context) {
  const int64_t height = context.attributes().get_int("output_height", 1);
  const int64_t width = context.attributes().get_int("output_width", 1);
  if (height < 1 || width < 1 || height > (1 << 20) || width > (1 << 20))
    context.fail("output_height and output_width are out of range");
  Shape shape{context.has_shape(1) && context.shape(1).rank() == 2 ? context.shape(1)[0] : context.unknown(),
              context.has_shape(0) && context.shape(0).rank() == 4 ? context.shape(0)[1] : context.unknown(), height,
              width};
  context.out(0, context.type(0), shape);
}

kernels::RoiAlign roi_align_of(const OpContext& context) {
  const Shape &src = context.shape(0), &rois = context.shape(1);
  if (src.rank() != 4 || rois.rank() != 2 || rois[1] != 4 || context.shape(2).count() != rois[0])
    context.fail("X must be [N,C,H,W], rois [R,4] and batch_indices [R]");
  if (context.type(1) != context.type(0) || context.type(2) != DataType::Int64)
    context.fail("rois must have the type of X, and batch_indices int64");
  if (src[2] * src[3] == 0) context.fail("X has no pixels");
  const std::string mode = context.attributes().get_string("mode", "avg");
  const std::string transformation = context.attributes().get_string("coordinate_transformation_mode", "half_pixel");
  if (mode != "avg" && mode != "max") context.fail("mode '" + mode + "' is neither avg nor max");
  if (transformation != "half_pixel" && transformation != "output_half_pixel")
    context.fail("coordinate_transformation_mode '" + transformation + "' is neither half_pixel nor output_half_pixel");
  const Shape& dst = context.out(0).shape;
  const int64_t ratio = context.attributes().get_int("sampling_ratio", 0);
  if (ratio < 0 || ratio > 4096) context.fail("sampling_ratio is out of range");
  return {context.type(0),
          src,
          rois[0],
          dst[2],
          dst[3],
          ratio,
          context.attributes().get_float("spatial_scale", 1),
          transformation == "half_pixel",
          mode == "max"};
}

std::unique_ptr<Kernel> prepare_roi_align(const OpContext& context) {
  return make_kernel([align = roi_align_of(context)](const KernelArgs& args) {
    align.run(args.pointers[0], args.pointers[1], args.in<int64_t>(2), args.pointers[args.num_inputs], args.parallel);
  });
}

Refusal gpu_roi_align(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const kernels::RoiAlign align = roi_align_of(context);
  const int64_t count = context.out(0).shape.count();
  GpuDispatch& dispatch = work.dispatch("roi_align");
  dispatch.constants = {align.maximum ? 1u : 0u, align.half_pixel ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(1), GpuWork::input(2)};
  dispatch.push.u32(count).u32(align.src[1]).u32(align.height).u32(align.width).u32(align.src[2]).u32(align.src[3]);
  dispatch.push.u32(align.src[0]).u32(align.sampling_ratio).f32(static_cast<float>(align.spatial_scale));
  dispatch.groups = groups_for(count, 64, traits);
  // With a ratio that the regions decide, about as many samples as the CPU takes for common ones.
  constexpr int64_t kUsualRatio = 4;
  const int64_t ratio = align.sampling_ratio > 0 ? align.sampling_ratio : kUsualRatio;
  dispatch.flops = 16.0 * static_cast<double>(count) * static_cast<double>(ratio * ratio);
  return std::nullopt;
}

// ---- Col2Im --------------------------------------------------------------------------------------------------------

void infer_col2im(InferContext& context) {
  const auto image = context.dims(1), block = context.dims(2);
  const auto rank = vector_length(context, 1);
  if (!rank) return context.out(0, context.type(0));
  const bool known = context.has_shape(0) && context.shape(0).rank() == 3;
  if (context.has_shape(0) && !known) context.fail("the input must be [N, C * block, L]");
  Shape shape{known ? context.shape(0)[0] : context.unknown(), context.unknown()};
  if (known && block) {
    const Dim taps = product(context, *block, 0, block->rank());
    const Dim channels = context.shape(0)[1];
    if (is_known(taps) && is_known(channels) && (taps < 1 || channels % taps != 0))
      context.fail("the input's second dimension does not divide by the elements of a block");
    shape[1] = context.symbols.div_floor(channels, taps);
  }
  for (int64_t i = 0; i < *rank; ++i) {
    const Dim size = image ? (*image)[static_cast<size_t>(i)] : context.unknown();
    if (size < 0 && !is_symbol(size)) context.fail("image_shape has a negative size");
    shape.push_back(size);
  }
  context.out(0, context.type(0), shape);
}

kernels::Col2Im col2im_of(const OpContext& context) {
  const auto image = context.ints(1), block = context.ints(2);
  const size_t dims = image.size();
  auto attribute = [&](const char* name, size_t count, int64_t fallback, int64_t least) {
    auto items = context.attributes().get_ints(name);
    if (items.empty()) items.assign(count, fallback);
    if (items.size() != count) context.fail(std::string(name) + " must have " + std::to_string(count) + " items");
    for (int64_t item : items)
      if (item < least || item > (int64_t{1} << 31)) context.fail(std::string(name) + " is out of range");
    return items;
  };
  const auto strides = attribute("strides", dims, 1, 1), dilations = attribute("dilations", dims, 1, 1);
  const auto pads = attribute("pads", 2 * dims, 0, 0);
  if (block.size() != dims || dims == 0) context.fail("image_shape and block_shape must have the same length");
  kernels::Col2Im op{};
  op.type = context.type(0);
  op.outer = context.out(0).shape[0] * context.out(0).shape[1];
  for (size_t i = 0; i < dims; ++i) {
    if (block[i] < 1 || block[i] > (int64_t{1} << 31)) context.fail("block_shape is out of range");
    const int64_t room = image[i] + pads[i] + pads[dims + i] - dilations[i] * (block[i] - 1) - 1;
    op.image.push_back(image[i]);
    op.block.push_back(block[i]);
    op.strides.push_back(strides[i]);
    op.dilations.push_back(dilations[i]);
    op.pads_begin.push_back(pads[i]);
    op.windows.push_back(room < 0 ? 0 : room / strides[i] + 1);
  }
  if (op.windows.count() != context.shape(0)[2])
    context.fail("the input must have " + std::to_string(op.windows.count()) + " columns for this image and block");
  return op;
}

std::unique_ptr<Kernel> prepare_col2im(const OpContext& context) {
  return make_kernel([op = col2im_of(context)](const KernelArgs& args) {
    op.run(args.pointers[0], args.pointers[args.num_inputs], args.parallel);
  });
}

Refusal gpu_col2im(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const kernels::Col2Im op = col2im_of(context);
  const int64_t count = context.out(0).shape.count(), taps = op.block.count();
  std::vector<uint32_t> words;
  for (const Shape* sizes : {&op.image, &op.block, &op.strides, &op.dilations, &op.pads_begin, &op.windows})
    for (const Dim size : *sizes) words.push_back(static_cast<uint32_t>(size));
  const GpuOperand table = work.table(std::move(words));
  GpuDispatch& dispatch = work.dispatch("col2im");
  dispatch.constants = {static_cast<uint32_t>(op.image.rank())};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), table};
  dispatch.push.u32(count).u32(op.image.count()).u32(taps).u32(op.windows.count());
  dispatch.groups = groups_for(count, 64, traits);
  dispatch.flops = static_cast<double>(count) * static_cast<double>(taps * op.image.rank()) * 8;
  return std::nullopt;
}

constexpr GpuRecipe kGpuRoiAlign{kFloat32, gpu_roi_align};
constexpr GpuRecipe kGpuCol2Im{kFloat32, gpu_col2im};

constexpr Candidate kGridSample[] = {{"points", nullptr, prepare_grid_sample}};
constexpr Candidate kRoiAlign[] = {{"bins", nullptr, prepare_roi_align}};
constexpr Candidate kCol2Im[] = {{"blocks", nullptr, prepare_col2im}};

}  // namespace

std::span<const OpDef> sample_ops() {
  static const OpDef kOps[] = {
      {"", "GridSample", infer_grid_sample, kGridSample, kAllTypes, kNone, 0, &kGpuGridSample},
      {"", "RoiAlign", infer_roi_align, kRoiAlign, kFloatTypes, kNone, 0, &kGpuRoiAlign},
      {"", "Col2Im", infer_col2im, kCol2Im, kSummed, kNone, 0b110, &kGpuCol2Im},
  };
  return kOps;
}

}  // namespace fastort
