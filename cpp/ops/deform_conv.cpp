#include "kernels/conv/deformable.h"
#include "ops/conv/conv.h"
#include "ops/gpu/gemm.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

enum Input { kX, kW, kOffset, kB, kMask };

int64_t offset_groups(const Attributes& attributes) { return attributes.get_int("offset_group", 1); }

void infer_deform_conv(InferContext& context) {
  const DataType type = context.type(kX);
  for (int i = 1; i < context.num_inputs(); ++i)
    if (context.has_input(i) && context.type(i) != type) context.fail("its inputs have different types");
  if (context.has_shape(kX) && context.shape(kX).rank() != 4)
    not_implemented("a deformable convolution over other than two spatial dimensions");
  if (offset_groups(context.attributes()) < 1) context.fail("attribute offset_group is not positive");
  std::optional<Shape> y = conv::infer_output(context, kX, kW, kB);
  if (!y) return context.out(0, type);
  context.out(0, type, std::move(*y));
}

// The offsets and the mask have a plane of the output's size for each of `planes`.
void check_planes(const OpContext& context, int input, int64_t planes) {
  const Shape &shape = context.shape(input), &y = context.out(0).shape;
  if (shape == Shape{y[0], planes, y[2], y[3]}) return;
  context.fail("input " + std::to_string(input) + " has the shape " + to_string(shape) + ", " +
               to_string(Shape{y[0], planes, y[2], y[3]}) + " is needed");
}

template <class T>
std::unique_ptr<Kernel> make(const OpContext& context, const kernels::ConvShape& shape) {
  const int threads = context.options.threads;
  const bool bias = context.has_input(kB), mask = context.has_input(kMask);
  return make_kernel(
      [=, groups = offset_groups(context.attributes())](const KernelArgs& args) {
        const kernels::DeformableArgs<T> operands{args.in<T>(kX),
                                                  args.in<T>(kW),
                                                  args.in<T>(kOffset),
                                                  bias ? args.in<T>(kB) : nullptr,
                                                  mask ? args.in<T>(kMask) : nullptr,
                                                  args.out<T>(0)};
        kernels::conv_deformable(shape, groups, operands, args.workspace, threads, args.parallel);
      },
      kernels::deformable_workspace_bytes(shape, threads));
}

kernels::ConvShape read_checked(const OpContext& context) {
  if (context.shape(kX).rank() != 4) not_implemented("a deformable convolution over other than two spatial dimensions");
  const kernels::ConvShape shape =
      conv::read_shape(context.attributes(), context.shape(kX), context.shape(kW), context.out(0).shape);
  const int64_t groups = offset_groups(context.attributes());
  if (shape.in_channels % groups != 0) context.fail("the channels of X do not divide by offset_group");
  check_planes(context, kOffset, groups * shape.taps() * 2);
  if (context.has_input(kMask)) check_planes(context, kMask, groups * shape.taps());
  return shape;
}

std::unique_ptr<Kernel> prepare_deform_conv(const OpContext& context) {
  const kernels::ConvShape shape = read_checked(context);
  return with_type(FloatList{}, "a deformable convolution", context.type(kX),
                   [&]<class T>(std::type_identity<T>) { return make<T>(context, shape); });
}

// What the taps read, as a matrix for each image, and a product with it.
Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const kernels::ConvShape shape = read_checked(context);
  const int64_t pixels = shape.out_pixels(), depth = shape.in_group() * shape.taps();
  const int64_t count = shape.batch * shape.in_channels * shape.taps() * pixels;
  const bool bias = context.has_input(kB);
  const GpuOperand columns = work.scratch(static_cast<size_t>(count) * sizeof(float));
  GpuDispatch& reads = work.dispatch("deform.columns");
  reads.constants = {context.has_input(kMask) ? 1u : 0u};
  reads.operands = {GpuWork::written(columns), GpuWork::input(kX), GpuWork::input(kOffset),
                    context.has_input(kMask) ? GpuWork::input(kMask) : GpuWork::none()};
  reads.push.u32(count).u32(shape.in_channels).u32(offset_groups(context.attributes()));
  for (const auto* sizes : {&shape.in, &shape.out, &shape.kernel}) reads.push.u32((*sizes)[0]).u32((*sizes)[1]);
  for (const auto* sizes : {&shape.stride, &shape.dilation, &shape.pad_begin})
    reads.push.i32((*sizes)[0]).i32((*sizes)[1]);
  reads.groups = groups_for(count, 64, traits);
  if (shape.groups == 1) {
    gpu::Gemm gemm;
    gemm.m = shape.out_channels;
    gemm.n = pixels;
    gemm.k = gemm.a_row = depth;
    gemm.b_step = pixels;
    for (int64_t i = 0; i < shape.batch; ++i) {
      gemm.a_offsets.push_back(0);
      gemm.b_offsets.push_back(i * depth * pixels);
    }
    gemm.a = GpuWork::input(kW);
    gemm.b = columns;
    gemm.result = GpuWork::output(0);
    if (bias) {
      gemm.addend = GpuWork::input(kB);
      gemm.addend_mode = 3;
    }
    return add_gemm(gemm, traits, work);
  }
  const int64_t results = context.out(0).shape.count();
  GpuDispatch& sums = work.dispatch("deform.sums");
  sums.constants = {bias ? 1u : 0u};
  sums.operands = {GpuWork::output(0), columns, GpuWork::input(kW), bias ? GpuWork::input(kB) : GpuWork::none()};
  sums.push.u32(results).u32(pixels).u32(shape.out_channels).u32(shape.out_group()).u32(depth).u32(shape.groups);
  sums.groups = groups_for(results, 64, traits);
  sums.flops = 2.0 * static_cast<double>(results) * static_cast<double>(depth);
  return std::nullopt;
}

constexpr GpuRecipe kGpu{kFloat32, gpu_work};

constexpr Candidate kCandidates[] = {{"reference", nullptr, prepare_deform_conv}};

constexpr OpDef kOps[] = {
    {.domain = "",
     .name = "DeformConv",
     .infer = infer_deform_conv,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> deform_conv_ops() { return kOps; }

}  // namespace fastort
