#include <limits>

#include "ops/attention/kernel.h"
#include "ops/gpu/gemm.h"
#include "ops/gpu/rows.h"

namespace fastort::attention {
namespace {

using kernels::AttentionProblem;
using kernels::HeadStrides;

Refusal refuse(const OpContext& context, const Spec& spec) {
  const AttentionProblem& p = spec.problem;
  for (const int input : {spec.q.input, spec.k.input, spec.v.input})
    if (context.type(input) != DataType::Float) return "inputs of other types than float32";
  if (spec.bias_input >= 0 || spec.q.norm_input >= 0 || spec.k.norm_input >= 0) return "a bias or norm of Q, K and V";
  if (spec.k_cache.past >= 0 || spec.past != Past::All) return "a past";
  for (const int output : {spec.k_cache.present, spec.v_cache.present})
    if (output >= 0 && context.has_output(output)) return "the present as an output";
  if (spec.qk_output >= 0) return "the scores as an output";
  if (spec.lengths_input >= 0 || p.has_lengths || p.has_offsets) return "lengths of the sequences";
  if (spec.cos_input >= 0) return "a rotary embedding";
  if (spec.key_mask != KeyMask::None || p.has_key_mask) return "a mask of the keys";
  if (spec.sink_input >= 0 || p.has_sink) return "a sink";
  if (p.left_window >= 0 || p.right_window >= 0) return "a window";
  if (p.size == 0 || p.keys == 0) return "no keys";
  if (spec.mask_input >= 0 && context.type(spec.mask_input) != DataType::Float && !p.mask_is_bool)
    return "a mask of another type than float32 and bool";
  return std::nullopt;
}

std::vector<int64_t> head_offsets(const AttentionProblem& p, const HeadStrides& strides, int64_t start,
                                  int64_t shared_by) {
  std::vector<int64_t> offsets;
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.heads; ++h) offsets.push_back(start + b * strides.batch + h / shared_by * strides.head);
  return offsets;
}

}  // namespace

// Scores, their softmax in place, and the weighted sums of V.
Refusal gpu_attention(const OpContext& context, const Spec& spec, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse(context, spec)) return refusal;
  const AttentionProblem& p = spec.problem;
  const int64_t rows = p.batch * p.heads * p.queries, shared_by = p.heads / p.kv_heads;
  if (rows * p.keys > std::numeric_limits<int32_t>::max() / 2) return "scores of more than 2^30 elements";
  const HeadStrides &q = spec.q.heads.strides, &k = spec.k.heads.strides, &v = spec.v.heads.strides;
  const GpuOperand scores = work.scratch(static_cast<size_t>(rows * p.keys) * sizeof(float));

  gpu::Gemm product;
  product.m = p.queries;
  product.n = p.keys;
  product.k = p.size;
  product.a_row = q.row;
  product.a_step = q.item;
  product.b_step = k.item;
  product.b_column = k.row;
  product.a_offsets = head_offsets(p, q, spec.q.heads.offset, 1);
  product.b_offsets = head_offsets(p, k, spec.k.heads.offset, shared_by);
  product.alpha = static_cast<float>(p.scale);
  product.a = GpuWork::input(spec.q.input);
  product.b = GpuWork::input(spec.k.input);
  product.result = GpuWork::written(scores);
  if (Refusal refusal = add_gemm(product, traits, work)) return refusal;

  const uint32_t mask = spec.mask_input < 0 ? 0u : p.mask_is_bool ? 2u : 1u;
  GpuDispatch& softmax = gpu::add_rows(
      work, "attention_softmax", {rows, p.keys, 1}, {mask, p.causal ? 1u : 0u, p.masked_rows_are_zero ? 1u : 0u},
      {GpuWork::written(scores), scores, mask ? GpuWork::input(spec.mask_input) : GpuWork::none()}, traits,
      /*push_inner=*/false);
  softmax.push.u32(p.heads).u32(p.queries);
  softmax.push.u32(p.mask.batch).u32(p.mask.head).u32(p.mask.row).u32(p.mask.item);
  softmax.push.u32(p.mask_batches).u32(std::min(p.mask_keys, p.keys)).i32(p.offset).f32(p.softcap);

  gpu::Gemm sums;
  sums.m = p.queries;
  sums.n = p.value_size;
  sums.k = p.keys;
  sums.a_row = p.keys;
  sums.b_step = v.row;
  sums.b_column = v.item;
  sums.c_row = p.y.row;
  for (int64_t i = 0; i < p.batch * p.heads; ++i) sums.a_offsets.push_back(i * p.queries * p.keys);
  sums.b_offsets = head_offsets(p, v, spec.v.heads.offset, shared_by);
  sums.c_offsets = head_offsets(p, p.y, 0, 1);
  sums.a = scores;
  sums.b = GpuWork::input(spec.v.input);
  sums.result = GpuWork::output(0);
  return add_gemm(sums, traits, work);
}

}  // namespace fastort::attention
