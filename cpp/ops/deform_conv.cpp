#include "kernels/conv/deformable.h"
#include "ops/conv/conv.h"
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

std::unique_ptr<Kernel> prepare_deform_conv(const OpContext& context) {
  if (context.shape(kX).rank() != 4) not_implemented("a deformable convolution over other than two spatial dimensions");
  const kernels::ConvShape shape =
      conv::read_shape(context.attributes(), context.shape(kX), context.shape(kW), context.out(0).shape);
  const int64_t groups = offset_groups(context.attributes());
  if (shape.in_channels % groups != 0) context.fail("the channels of X do not divide by offset_group");
  check_planes(context, kOffset, groups * shape.taps() * 2);
  if (context.has_input(kMask)) check_planes(context, kMask, groups * shape.taps());
  return with_type(FloatList{}, "a deformable convolution", context.type(kX),
                   [&]<class T>(std::type_identity<T>) { return make<T>(context, shape); });
}

constexpr Candidate kCandidates[] = {{"reference", nullptr, prepare_deform_conv}};

constexpr OpDef kOps[] = {
    {.domain = "", .name = "DeformConv", .infer = infer_deform_conv, .cpu = kCandidates, .types = kFloatTypes},
};

}  // namespace

std::span<const OpDef> deform_conv_ops() { return kOps; }

}  // namespace fastort
