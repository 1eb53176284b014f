#include "kernels/move/resize.h"

#include <algorithm>
#include <cmath>

#include "ops/core/move.h"
#include "ops/gpu/map.h"

namespace fastort {
namespace {

template <class Mode>
Mode mode_of(const Node& node, const char* attribute, const char* fallback,
             std::initializer_list<std::pair<std::string_view, Mode>> modes) {
  const std::string given = node.attributes.get_string(attribute, fallback);
  std::string known;
  for (const auto& [name, mode] : modes) {
    if (given == name) return mode;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  invalid_graph(std::string(attribute) + " '" + given + "' is none of " + known);
}

enum class AspectPolicy : uint8_t { Stretch, NotLarger, NotSmaller };

AspectPolicy aspect_policy(const Node& node) {
  return mode_of<AspectPolicy>(node, "keep_aspect_ratio_policy", "stretch",
                               {{"stretch", AspectPolicy::Stretch},
                                {"not_larger", AspectPolicy::NotLarger},
                                {"not_smaller", AspectPolicy::NotSmaller}});
}

kernels::ResizeOptions resize_options(const Node& node) {
  using kernels::CoordinateMode, kernels::NearestMode, kernels::ResizeMode;
  kernels::ResizeOptions options;
  options.mode = mode_of<ResizeMode>(
      node, "mode", "nearest",
      {{"nearest", ResizeMode::Nearest}, {"linear", ResizeMode::Linear}, {"cubic", ResizeMode::Cubic}});
  options.nearest = mode_of<NearestMode>(node, "nearest_mode", "round_prefer_floor",
                                         {{"round_prefer_floor", NearestMode::RoundPreferFloor},
                                          {"round_prefer_ceil", NearestMode::RoundPreferCeil},
                                          {"floor", NearestMode::Floor},
                                          {"ceil", NearestMode::Ceil}});
  options.coordinates = mode_of<CoordinateMode>(node, "coordinate_transformation_mode", "half_pixel",
                                                {{"half_pixel", CoordinateMode::HalfPixel},
                                                 {"half_pixel_symmetric", CoordinateMode::HalfPixelSymmetric},
                                                 {"pytorch_half_pixel", CoordinateMode::PytorchHalfPixel},
                                                 {"align_corners", CoordinateMode::AlignCorners},
                                                 {"asymmetric", CoordinateMode::Asymmetric},
                                                 {"tf_crop_and_resize", CoordinateMode::TfCropAndResize}});
  options.antialias = node.attributes.get_int("antialias", 0) != 0;
  options.exclude_outside = node.attributes.get_int("exclude_outside", 0) != 0;
  options.cubic_a = node.attributes.get_float("cubic_coeff_a", -0.75F);
  options.extrapolation = node.attributes.get_float("extrapolation_value", 0);
  return options;
}

InlineVector<int, 8> resized_axes(const Node& node, int rank) {
  const auto given = node.attributes.get_ints("axes");
  if (node.attributes.has("axes")) return checked_axes(node, given, rank);
  InlineVector<int, 8> axes;
  for (int i = 0; i < rank; ++i) axes.push_back(i);
  return axes;
}

// A dimension that is resized has a table of this many entries at most.
constexpr int64_t kMostSize = int64_t{1} << 28;

// The size asked for, and the whole size that it gives.
struct TargetSize {
  double scaled;
  int64_t out;
};

TargetSize scaled_size(int64_t in, float scale) {
  const double scaled = static_cast<double>(scale) * static_cast<double>(in), whole = std::round(scaled);
  // A scale is written in single precision: 0.7 stands for the fraction that makes 7 out of 10.
  if (std::abs(scaled - whole) <= 0x1p-22 * whole) return {whole, static_cast<int64_t>(whole)};
  return {scaled, static_cast<int64_t>(scaled)};
}

std::vector<float> scales_of(const Tensor& scales, size_t axes) {
  if (scales.type() != DataType::Float || scales.count() != static_cast<int64_t>(axes))
    invalid_graph("scales must hold " + std::to_string(axes) + " floats, got " + describe(scales));
  std::vector<float> items(scales.data<float>(), scales.data<float>() + axes);
  for (float scale : items)
    if (!(scale > 1e-9F && scale < 1e9F)) invalid_graph("scale " + std::to_string(scale) + " is out of range");
  return items;
}

// Sizes for each of the axes, where the input's are known.
std::vector<TargetSize> target_sizes(const Node& node, const Shape& src, const InlineVector<int, 8>& axes,
                                     const Tensor* scales, const std::optional<InlineVector<int64_t, 8>>& sizes) {
  std::vector<TargetSize> targets;
  if (!sizes) {
    const auto items = scales_of(*scales, axes.size());
    for (size_t i = 0; i < axes.size(); ++i)
      targets.push_back(scaled_size(src[static_cast<size_t>(axes[i])], items[i]));
    return targets;
  }
  if (sizes->size() != axes.size()) invalid_graph("sizes must hold " + std::to_string(axes.size()) + " items");
  const AspectPolicy policy = aspect_policy(node);
  double scale = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t size = (*sizes)[i], in = src[static_cast<size_t>(axes[i])];
    if (size < 0) invalid_graph("size " + std::to_string(size) + " is negative");
    targets.push_back({static_cast<double>(size), size});
    const double ratio = static_cast<double>(size) / static_cast<double>(in);
    if (i == 0 || (policy == AspectPolicy::NotLarger ? ratio < scale : ratio > scale)) scale = ratio;
  }
  if (policy == AspectPolicy::Stretch) return targets;
  for (size_t i = 0; i < axes.size(); ++i) {
    const double scaled = scale * static_cast<double>(src[static_cast<size_t>(axes[i])]);
    targets[i] = {scaled, static_cast<int64_t>(std::floor(scaled + 0.5))};
  }
  return targets;
}

Dim scaled_dim(const InferContext& context, Dim in, float scale) {
  if (is_known(in)) return scaled_size(in, scale).out;
  if (scale >= 1 && scale == std::floor(scale)) return context.symbols.mul(in, static_cast<int64_t>(scale));
  const float inverse = 1 / scale;
  if (inverse == std::floor(inverse) && inverse * scale == 1)
    return context.symbols.div_floor(in, static_cast<int64_t>(inverse));
  return context.unknown();
}

bool has_items(const InferContext& context, int i) {
  if (!context.has_input(i)) return false;
  const auto length = vector_length(context, i);
  return !length || *length > 0;
}

void infer_resize(InferContext& context) {
  if (resize_options(context.node).mode != kernels::ResizeMode::Nearest)
    require_types(context, kSummed, "an interpolation");
  if (!context.has_shape(0)) return context.out(0, context.type(0));
  const Shape& src = context.shape(0);
  const auto axes = resized_axes(context.node, src.rank());
  Shape shape = src;
  auto unknown = [&] {
    for (int axis : axes) shape[static_cast<size_t>(axis)] = context.unknown();
    context.out(0, context.type(0), shape);
  };
  // An empty vector stands for an input that is left out, in older models.
  const bool by_sizes = has_items(context, 3), by_scales = !by_sizes && has_items(context, 2);
  if (!by_sizes && !by_scales) context.fail("one of scales and sizes is needed");
  if (by_scales) {
    const Tensor* scales = context.value(2);
    if (!scales) return unknown();
    const auto items = scales_of(*scales, axes.size());
    for (size_t i = 0; i < axes.size(); ++i) {
      Dim& dim = shape[static_cast<size_t>(axes[i])];
      dim = scaled_dim(context, dim, items[i]);
    }
    return context.out(0, context.type(0), shape);
  }
  const auto sizes = context.dims(3);
  if (!sizes) return unknown();
  if (sizes->size() != axes.size()) context.fail("sizes must hold " + std::to_string(axes.size()) + " items");
  if (aspect_policy(context.node) == AspectPolicy::Stretch) {
    for (size_t i = 0; i < axes.size(); ++i) {
      const Dim size = (*sizes)[i];
      if (size < 0 && !is_symbol(size))
        context.fail("sizes " + to_string(*sizes, context.symbols) + " has a negative item");
      shape[static_cast<size_t>(axes[i])] = size;
    }
    return context.out(0, context.type(0), shape);
  }
  bool known = sizes->is_concrete();
  for (int axis : axes) known = known && is_known(src[static_cast<size_t>(axis)]) && src[static_cast<size_t>(axis)] > 0;
  if (!known) return unknown();
  const auto targets = target_sizes(context.node, src, axes, nullptr, context.ints(3));
  for (size_t i = 0; i < axes.size(); ++i) shape[static_cast<size_t>(axes[i])] = targets[i].out;
  context.out(0, context.type(0), shape);
}

Refusal accept_resize(const OpContext& context) {
  if (context.in(0).layout == Layout::Plain) return std::nullopt;
  for (int i = 0; i < 2; ++i)
    if (context.shape(0)[static_cast<size_t>(i)] != context.out(0).shape[static_cast<size_t>(i)])
      return "batch or channels are resized, which takes plain layout";
  const auto mode = kernels::CoordinateMode::TfCropAndResize;
  if (resize_options(context.node).coordinates == mode) return "a region of interest takes plain layout";
  return std::nullopt;
}

// Item i of a vector of starts and ends for each axis.
double roi_item(const OpContext& context, const Tensor& roi, size_t i) {
  switch (roi.type()) {
    case DataType::Float:
      return roi.data<float>()[i];
    case DataType::Double:
      return roi.data<double>()[i];
    case DataType::Float16:
      return to_float(roi.data<Float16>()[i]);
    case DataType::BFloat16:
      return to_float(roi.data<BFloat16>()[i]);
    default:
      context.fail("roi must hold floating-point numbers");
  }
}

// The tables of the axes that change, for one of the candidate's layouts.
std::vector<kernels::ResizeAxis> resize_tables(const OpContext& context, const kernels::ResizeOptions& options,
                                               Layout layout) {
  const Shape &src = context.shape(0), &dst = context.out(0).shape;
  const auto axes = resized_axes(context.node, src.rank());
  const Tensor* scales = context.constant(2);
  std::optional<InlineVector<int64_t, 8>> sizes;
  if (context.has_input(3) && context.in(3).shape.count() > 0) sizes = context.ints(3);
  if (!sizes && !scales) context.fail("scales must be known before the run");
  const auto targets = target_sizes(context.node, src, axes, scales, sizes);
  const bool crops = options.coordinates == kernels::CoordinateMode::TfCropAndResize;
  const Tensor* roi = crops ? context.constant(1) : nullptr;
  if (crops && (!roi || roi->count() != static_cast<int64_t>(2 * axes.size())))
    context.fail("tf_crop_and_resize needs roi with a start and an end for each axis");

  std::vector<kernels::ResizeAxis> tables;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t in = src[static_cast<size_t>(axes[i])];
    const double start = roi ? roi_item(context, *roi, i) : 0, end = roi ? roi_item(context, *roi, axes.size() + i) : 1;
    if (targets[i].out == in && targets[i].scaled == static_cast<double>(in) && start == 0 && end == 1) continue;
    if (targets[i].out > kMostSize) context.fail("size " + std::to_string(targets[i].out) + " is out of range");
    if (in == 0 && targets[i].out > 0) context.fail("an empty axis cannot be resized to " + to_string(dst));
    tables.push_back(kernels::resize_axis(options, memory_axis(axes[i], src.rank(), layout), in, targets[i].out,
                                          targets[i].scaled, start, end));
  }
  return tables;
}

Refusal gpu_resize(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (context.shape(0).count() == 0) return "an empty input";
  const auto options = resize_options(context.node);
  return gpu::add_resize(context, traits, work, resize_tables(context, options, Layout::Plain), options);
}

std::unique_ptr<Kernel> prepare_resize(const OpContext& context) {
  const auto options = resize_options(context.node);
  const Layout layout = context.in(0).layout;
  kernels::Resize resize(context.type(0), memory_dims(context.shape(0), layout),
                         resize_tables(context, options, layout), options);
  const size_t workspace = resize.workspace_bytes();
  return make_kernel(
      [resize = std::move(resize)](const KernelArgs& args) {
        resize.run(args.pointers[0], args.pointers[args.num_inputs], args.workspace, args.parallel);
      },
      workspace);
}

constexpr GpuRecipe kGpuResize{kAllTypes, gpu_resize, true};

constexpr Candidate kResize[] = {{"axis_by_axis", accept_resize, prepare_resize, kAnyLayout, nullptr, 1u << 0}};

}  // namespace

std::span<const OpDef> resize_ops() {
  static const OpDef kOps[] = {
      {"", "Resize", infer_resize, kResize, kAllTypes, kNone, 0b1110, &kGpuResize},
  };
  return kOps;
}

}  // namespace fastort
