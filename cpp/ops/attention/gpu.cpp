#include <limits>

#include "ops/attention/gpu_parts.h"
#include "ops/attention/key_mask.h"
#include "ops/gpu/gemm.h"
#include "ops/gpu/rows.h"

namespace fastort::attention {
namespace {

using kernels::AttentionProblem;
using kernels::HeadStrides;

// A group of shaders/attention.comp makes as many, and would leave most rows of a tile of matrices empty.
constexpr int64_t kFewQueries = 4;

Refusal refuse(const OpContext& context, const Spec& spec) {
  const AttentionProblem& p = spec.problem;
  for (const int input : {spec.q.input, spec.k.input, spec.v.input})
    if (context.type(input) != DataType::Float) return "inputs of other types than float32";
  if (spec.bias_input >= 0 && context.type(spec.bias_input) != DataType::Float) return "a bias of another type";
  if (spec.key_mask != KeyMask::None && context.type(spec.key_mask_input) != DataType::Int32)
    return "a mask of keys of another type than int32";
  if (p.size == 0 || p.keys == 0) return "no keys";
  if (spec.mask_input >= 0 && context.type(spec.mask_input) != DataType::Float && !p.mask_is_bool)
    return "a mask of another type than float32 and bool";
  if (spec.lengths_input >= 0 && context.type(spec.lengths_input) != DataType::Int64)
    return "lengths of another type than int64";
  return std::nullopt;
}

std::vector<int64_t> head_offsets(const AttentionProblem& p, const HeadStrides& strides, int64_t start,
                                  int64_t shared_by) {
  std::vector<int64_t> offsets;
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.heads; ++h) offsets.push_back(start + b * strides.batch + h / shared_by * strides.head);
  return offsets;
}

// Scores, their softmax in place, and the weighted sums of V: three dispatches with a tensor of scores.
Refusal add_in_parts(const Spec& spec, const Side& q, const Side& k, const Side& v, const GpuTraits& traits,
                     GpuWork& work) {
  const AttentionProblem& p = spec.problem;
  const int64_t rows = p.batch * p.heads * p.queries, shared_by = p.heads / p.kv_heads;
  using kernels::QkOutput;
  const size_t bytes = static_cast<size_t>(rows * p.keys) * sizeof(float);
  const GpuOperand given{GpuOperand::Kind::Output, spec.qk_output, false};
  const GpuOperand scores = p.qk_output == QkOutput::Raw ? given : work.scratch(bytes);
  GpuOperand weights = scores;
  if (p.qk_output == QkOutput::Raw) weights = work.scratch(bytes);
  if (p.qk_output == QkOutput::Probabilities) weights = given;

  gpu::Gemm product;
  product.m = p.queries;
  product.n = p.keys;
  product.k = p.size;
  product.a_row = q.strides.row;
  product.a_step = q.strides.item;
  product.b_step = k.strides.item;
  product.b_column = k.strides.row;
  product.a_offsets = head_offsets(p, q.strides, q.offset, 1);
  product.b_offsets = head_offsets(p, k.strides, k.offset, shared_by);
  product.alpha = static_cast<float>(p.scale);
  product.a = q.operand;
  product.b = k.operand;
  product.result = GpuWork::written(scores);
  if (Refusal refusal = add_gemm(product, traits, work)) return refusal;

  const uint32_t mask = mask_mode(spec);
  uint32_t kept = p.qk_output == QkOutput::Capped ? 1 : 0;
  if (p.qk_output == QkOutput::Biased) kept = p.unseen_scores_are_zero ? 3 : 2;
  GpuDispatch& softmax = gpu::add_rows(
      work, "attention_softmax", {rows, p.keys, 1},
      {mask, p.causal ? 1u : 0u, p.masked_rows_are_zero ? 1u : 0u, kept, static_cast<uint32_t>(spec.key_mask)},
      {GpuWork::written(weights), scores, mask ? GpuWork::input(spec.mask_input) : GpuWork::none(),
       kept ? GpuWork::written(given) : GpuWork::none(),
       spec.key_mask != KeyMask::None ? GpuWork::input(spec.key_mask_input) : GpuWork::none()},
      traits, /*push_inner=*/false);
  softmax.push.u32(p.heads).u32(p.queries);
  softmax.push.u32(p.mask.batch).u32(p.mask.head).u32(p.mask.row).u32(p.mask.item);
  softmax.push.u32(p.mask_batches).u32(std::min(p.mask_keys, p.keys)).i32(p.offset).f32(p.softcap);
  softmax.push.u32(spec.key_mask_size).f32(spec.mask_filter);

  gpu::Gemm sums;
  sums.m = p.queries;
  sums.n = p.value_size;
  sums.k = p.keys;
  sums.a_row = p.keys;
  sums.b_step = v.strides.row;
  sums.b_column = v.strides.item;
  sums.c_row = p.y.row;
  for (int64_t i = 0; i < p.batch * p.heads; ++i) sums.a_offsets.push_back(i * p.queries * p.keys);
  sums.b_offsets = head_offsets(p, v.strides, v.offset, shared_by);
  sums.c_offsets = head_offsets(p, p.y, 0, 1);
  sums.a = weights;
  sums.b = v.operand;
  sums.result = GpuWork::output(0);
  return add_gemm(sums, traits, work);
}

}  // namespace

Refusal gpu_attention(const OpContext& context, const Spec& spec, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse(context, spec)) return refusal;
  const AttentionProblem& p = spec.problem;
  const bool plain = spec.lengths_input < 0 && spec.past == Past::All && !p.has_lengths && !p.has_offsets &&
                     !p.has_sink && p.left_window < 0 && p.right_window < 0;
  const double scores = static_cast<double>(p.batch * p.heads * p.queries) * static_cast<double>(p.keys);
  const bool parts_fit = plain && scores < std::numeric_limits<int32_t>::max() / 2 &&
                         (spec.key_mask == KeyMask::None || KeyMaskShape(spec).keys == p.keys);
  // Cooperative matrices make up for a tensor of scores, unless queries are few.
  const bool by_matrices = traits.halves && !traits.matrices.empty() && p.queries > kFewQueries;
  // A tensor of scores would round them to float16.
  const bool slow_fused = traits.slow_shared && !traits.halves;
  const bool in_parts = parts_fit && (slow_fused || by_matrices || p.value_size > kMostValues);
  if (!in_parts && p.value_size > kMostValues) return "heads of more than 256 items";
  const Side q = make_queries(spec, traits, work);
  Side k, v;
  if (Refusal refusal = join_past(context, spec, spec.k, spec.k_cache, spec.cos_input >= 0, k, traits, work))
    return refusal;
  if (Refusal refusal = join_past(context, spec, spec.v, spec.v_cache, false, v, traits, work)) return refusal;
  if (p.batch * p.heads * p.queries == 0) return std::nullopt;
  Spec joined = spec;
  joined.problem.offset = spec.past_rows;
  return in_parts ? add_in_parts(joined, q, k, v, traits, work) : add_fused(joined, q, k, v, traits, work);
}

}  // namespace fastort::attention
