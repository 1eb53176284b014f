#include "ops/gpu/bytes.h"

#include <algorithm>

#include "ops/gpu/select.h"
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

Refusal activation_code(const ActivationSpec& activation, uint32_t& code) {
  code = activation.kind == Activation::Relu ? 1 : activation.kind == Activation::Clip ? 2 : 0;
  if (code == 0 && activation.kind != Activation::None) return "an activation other than Relu and Clip";
  return std::nullopt;
}

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
  uint32_t activation = 0;
  if (Refusal refusal = activation_code(gemm.activation, activation)) return refusal;
  GpuDispatch& dispatch = work.dispatch(has(gemm.y_scale) ? "bytes_gemm.byte"
                                        : gemm.floats     ? "bytes_gemm.float"
                                                          : "bytes_gemm.i32");
  dispatch.constants = {flag(gemm.a_signed), flag(gemm.b_signed), flag(gemm.y_signed),
                        !has(gemm.bias)                      ? 0u
                        : gemm.floats && gemm.bias_is_floats ? 2u
                                                             : 1u,
                        activation};
  dispatch.operands = {GpuWork::output(0), gemm.a,       gemm.b,      gemm.a_zero, gemm.b_zero, gemm.a_scale,
                       gemm.b_scale,       gemm.y_scale, gemm.y_zero, table,       gemm.bias};
  dispatch.push.u32(count).u32(problem.m).u32(problem.n).u32(problem.k);
  dispatch.push.u32(problem.trans_a ? 1 : problem.a_stride).u32(problem.trans_a ? problem.a_stride : 1);
  dispatch.push.u32(problem.trans_b ? 1 : problem.b_stride).u32(problem.trans_b ? problem.b_stride : 1);
  for (const int64_t numbers : {gemm.a_zeros, gemm.b_zeros, gemm.a_scales, gemm.b_scales, gemm.y_scales, gemm.y_zeros})
    dispatch.push.u32(numbers);
  dispatch.push.u32(gemm.bias_rows).u32(gemm.bias_columns).f32(gemm.alpha);
  dispatch.push.f32(gemm.activation.alpha).f32(gemm.activation.beta);
  dispatch.groups = groups_for(count, kGroup, traits);
  dispatch.flops = 2.0 * static_cast<double>(count) * static_cast<double>(problem.k);
  return std::nullopt;
}

Refusal add_byte_conv(const ByteConv& conv, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  const kernels::ConvShape& shape = conv.shape;
  uint32_t activation = 0;
  if (Refusal refusal = activation_code(conv.activation, activation)) return refusal;
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

Refusal add_byte_pool(const BytePool& pool, int64_t count, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  const kernels::PoolShape& shape = pool.shape;
  GpuDispatch& dispatch = work.dispatch("bytes_pool");
  dispatch.constants = {flag(pool.is_signed),
                        0,
                        flag(pool.is_signed),
                        shape.kind == kernels::PoolKind::Max       ? 0u
                        : shape.kind == kernels::PoolKind::Average ? 1u
                                                                   : 2u,
                        flag(has(pool.x_zero)) | flag(has(pool.y_zero)) << 1,
                        !has(pool.indices)  ? 0u
                        : pool.column_major ? 2u
                                            : 1u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), pool.x_scale, pool.x_zero,
                       pool.y_scale,       pool.y_zero,       pool.indices};
  push_window(dispatch.push, count, shape);
  for (size_t i = 0; i < 3; ++i) dispatch.push.i32(shape.in[i] + shape.pad_end[i]);
  dispatch.push.u32(pool.last_channels);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

Refusal add_dynamic_quantize(const DynamicBytes& bytes, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  const int64_t count = bytes.count;
  const int64_t shares = std::clamp<int64_t>((count + kShare - 1) / kShare, 1, kMostShares);
  const GpuOperand pairs = work.scratch(static_cast<size_t>(shares) * 2 * sizeof(float));
  const GpuOperand scale = work.scratch(sizeof(float)), zero = work.scratch(sizeof(int32_t));
  GpuDispatch& range = work.dispatch("dynamic_quantize.range");
  range.operands = {GpuWork::written(pairs), bytes.source};
  range.push.u32(count).u32(shares * kGroup);
  range.groups = groups_for(shares * kGroup, kGroup, traits);
  GpuDispatch& parameters = work.dispatch("dynamic_quantize.scale");
  parameters.constants = {flag(has(bytes.scale)), flag(has(bytes.zero))};
  parameters.operands = {GpuWork::written(scale), GpuWork::written(zero), bytes.scale, bytes.zero, pairs};
  parameters.push.u32(shares).u32(0);
  if (count == 0) return std::nullopt;
  GpuDispatch& quantized = work.dispatch("dynamic_quantize.byte");
  quantized.operands = {bytes.bytes, bytes.source, scale, zero};
  quantized.push.u32(count).u32(0);
  quantized.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

Refusal add_byte_map(const OpContext& context, const ByteMap& map, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse_bytes(traits)) return refusal;
  uint32_t activation = 0;
  if (Refusal refusal = activation_code(map.activation, activation)) return refusal;
  const int64_t count = map.shape.count();
  if (count == 0) return std::nullopt;
  std::vector<Shape> shapes{context.shape(map.a.input)};
  if (map.b.input >= 0 && map.function != ByteFunction::LookUp) shapes.push_back(context.shape(map.b.input));
  if (map.condition >= 0) shapes.push_back(context.shape(map.condition));
  for (const Shape& shape : shapes)
    if (shape.rank() > map.shape.rank()) return "an operand has a higher rank than the output";
  const Strided strided = strided_operands(map.shape, shapes);
  const GpuOperand table = work.table(strided.table);
  const auto given = [&](int input) { return input >= 0 && context.has_input(input); };
  const auto operand = [&](int input) { return given(input) ? GpuWork::input(input) : GpuWork::none(); };
  uint32_t zeros = 0, bit = 0;
  for (const ByteSide* side : {&map.a, &map.b, &map.y}) zeros |= flag(given(side->zero)) << bit++;
  GpuDispatch& dispatch = work.dispatch("bytes_map");
  dispatch.constants = {strided.rank,
                        strided.modes,
                        flag(map.a.is_signed),
                        flag(map.b.is_signed),
                        flag(map.y.is_signed),
                        static_cast<uint32_t>(map.function),
                        activation,
                        zeros};
  dispatch.operands = {GpuWork::output(0),
                       operand(map.a.input),
                       operand(map.a.scale),
                       operand(map.a.zero),
                       operand(map.b.input),
                       operand(map.b.scale),
                       operand(map.b.zero),
                       operand(map.y.scale),
                       operand(map.y.zero),
                       operand(map.condition),
                       table};
  const int64_t part = map.part > 0 ? map.part : count;
  dispatch.push.u32(count).u32(part).u32(map.row > 0 ? map.row : part).u32(map.begin);
  const bool leaky = map.function == ByteFunction::LeakyRelu;
  dispatch.push.f32(leaky ? map.alpha : map.activation.alpha).f32(map.activation.beta);
  dispatch.groups = groups_for(count, kGroup, traits);
  return std::nullopt;
}

}  // namespace fastort::gpu
