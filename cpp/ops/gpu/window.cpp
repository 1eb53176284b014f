#include "ops/gpu/window.h"

#include "ops/gpu/epilogue.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;

}  // namespace

void push_window(GpuPush& push, int64_t count, const kernels::PoolShape& shape) {
  push.u32(count);
  for (const auto* sizes : {&shape.in, &shape.out, &shape.kernel, &shape.stride, &shape.dilation, &shape.pad_begin})
    for (const int64_t size : *sizes) push.i32(size);
}

void push_window(GpuPush& push, int64_t count, const kernels::ConvShape& shape) {
  kernels::PoolShape window;
  for (size_t i = 0; i < static_cast<size_t>(shape.rank); ++i) {
    const size_t to = static_cast<size_t>(3 - shape.rank) + i;
    window.in[to] = shape.in[i];
    window.out[to] = shape.out[i];
    window.kernel[to] = shape.kernel[i];
    window.stride[to] = shape.stride[i];
    window.dilation[to] = shape.dilation[i];
    window.pad_begin[to] = shape.pad_begin[i];
  }
  push_window(push, count, window);
}

Refusal add_conv_any(GpuWork& work, const kernels::ConvShape& shape, const kernels::ConvEpilogue& epilogue,
                     bool transposed, std::vector<GpuOperand> operands, const GpuTraits& traits) {
  const int64_t count = shape.batch * shape.out_channels * shape.out_pixels();
  const EpilogueFunction activation = epilogue_function(epilogue.activation);
  GpuDispatch& dispatch = work.dispatch(transposed ? "conv_any.transposed" : "conv_any.forward");
  dispatch.constants = {epilogue.bias ? 3u : 0u, epilogue.residual ? 1u : 0u, activation.code};
  dispatch.operands = std::move(operands);
  dispatch.operands.resize(5);
  push_window(dispatch.push, count, shape);
  dispatch.push.u32(shape.in_group()).u32(shape.out_group()).u32(shape.groups);
  dispatch.push.f32(activation.params.a).f32(activation.params.b);
  dispatch.groups = groups_for(count, kGroup, traits);
  dispatch.flops = shape.macs();
  return std::nullopt;
}

}  // namespace fastort::gpu
