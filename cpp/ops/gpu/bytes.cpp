#include "ops/gpu/bytes.h"

#include <algorithm>

#include "ops/gpu/window.h"

namespace fastort::gpu {
namespace {

constexpr uint32_t kGroup = 64;
// DynamicQuantizeLinear finds the range of this many numbers a group, in groups up to a number.
constexpr int64_t kShare = 4096, kMostShares = 256;

Refusal refuse_bytes(const GpuTraits& traits) {
  if (!traits.storage8) return "single bytes, which the device's shaders cannot store";
  return std::nullopt;
}

bool has(const GpuOperand& operand) { return operand.kind != GpuOperand::Kind::None; }

uint32_t flag(bool value) { return value ? 1 : 0; }

}  // namespace

Refusal add_byte_gemm(const ByteGemm& gemm, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  const matmul::Problem& problem = gemm.problem;
  std::vector<uint32_t> offsets;
  for (size_t i = 0; i < problem.a_offsets.size(); ++i) {
    offsets.push_back(static_cast<uint32_t>(problem.a_offsets[i]));
    offsets.push_back(static_cast<uint32_t>(problem.b_offsets[i]));
  }
  const int64_t count = problem.batch() * problem.m * problem.n;
  const GpuOperand table = work.table(std::move(offsets));
  GpuDispatch& dispatch = work.dispatch(has(gemm.y_scale) ? "bytes_gemm.byte" : "bytes_gemm.i32");
  dispatch.constants = {flag(gemm.a_signed), flag(gemm.b_signed), flag(gemm.y_signed)};
  dispatch.operands = {GpuWork::output(0), gemm.a,       gemm.b,       gemm.a_zero, gemm.b_zero,
                       gemm.a_scale,       gemm.b_scale, gemm.y_scale, gemm.y_zero, table};
  dispatch.push.u32(count).u32(problem.m).u32(problem.n).u32(problem.k).u32(problem.a_stride);
  dispatch.push.u32(problem.trans_b ? 1 : problem.b_stride).u32(problem.trans_b ? problem.b_stride : 1);
  for (const int64_t numbers : {gemm.a_zeros, gemm.b_zeros, gemm.a_scales, gemm.b_scales, gemm.y_scales, gemm.y_zeros})
    dispatch.push.u32(numbers);
  dispatch.groups = groups_for(count, kGroup, traits);
  dispatch.flops = 2.0 * static_cast<double>(count) * static_cast<double>(problem.k);
  return std::nullopt;
}

Refusal add_byte_conv(const ByteConv& conv, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  const kernels::ConvShape& shape = conv.shape;
  uint32_t activation = 0;
  if (conv.activation.kind == Activation::Relu) activation = 1;
  if (conv.activation.kind == Activation::Clip) activation = 2;
  if (activation == 0 && conv.activation.kind != Activation::None) return "an activation other than Relu and Clip";
  const int64_t count = shape.batch * shape.out_channels * shape.out_pixels();
  GpuDispatch& dispatch = work.dispatch(has(conv.y_scale) ? "bytes_conv.byte" : "bytes_conv.i32");
  dispatch.constants = {flag(conv.x_signed),
                        flag(conv.w_signed),
                        flag(conv.y_signed),
                        flag(has(conv.x_zero)),
                        !has(conv.w_zero)        ? 0u
                        : conv.zeros_per_channel ? 2u
                                                 : 1u,
                        flag(conv.scales_per_channel),
                        flag(has(conv.bias)),
                        activation};
  dispatch.operands = {GpuWork::output(0), conv.x,       conv.w,       conv.x_zero, conv.w_zero,
                       conv.x_scale,       conv.w_scale, conv.y_scale, conv.y_zero, conv.bias};
  push_window(dispatch.push, count, shape);
  dispatch.push.u32(shape.in_group()).u32(shape.out_group()).u32(shape.groups);
  dispatch.push.f32(conv.activation.alpha).f32(conv.activation.beta);
  dispatch.groups = groups_for(count, kGroup, traits);
  dispatch.flops = shape.macs();
  return std::nullopt;
}

Refusal add_dynamic_quantize(int64_t count, bool has_scale, bool has_zero, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  const int64_t shares = std::clamp<int64_t>((count + kShare - 1) / kShare, 1, kMostShares);
  const GpuOperand pairs = work.scratch(static_cast<size_t>(shares) * 2 * sizeof(float));
  const GpuOperand scale = work.scratch(sizeof(float)), zero = work.scratch(sizeof(int32_t));
  GpuDispatch& range = work.dispatch("dynamic_quantize.range");
  range.operands = {GpuWork::written(pairs), GpuWork::input(0)};
  range.push.u32(count).u32(shares * kGroup);
  range.groups = groups_for(shares * kGroup, kGroup, traits);
  GpuDispatch& parameters = work.dispatch("dynamic_quantize.scale");
  parameters.constants = {flag(has_scale), flag(has_zero)};
  parameters.operands = {GpuWork::written(scale), GpuWork::written(zero),
                         has_scale ? GpuWork::output(1) : GpuWork::none(),
                         has_zero ? GpuWork::output(2) : GpuWork::none(), pairs};
  parameters.push.u32(shares).u32(0);
  GpuDispatch& bytes = work.dispatch("dynamic_quantize.byte");
  bytes.operands = {GpuWork::output(0), GpuWork::input(0), scale, zero};
  bytes.push.u32(count).u32(0);
  bytes.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
