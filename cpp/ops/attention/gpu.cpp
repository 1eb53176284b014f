#include <limits>

#include "ops/attention/kernel.h"
#include "ops/attention/key_mask.h"
#include "ops/gpu/gemm.h"
#include "ops/gpu/move.h"
#include "ops/gpu/rows.h"

namespace fastort::attention {
namespace {

using kernels::AttentionProblem;
using kernels::HeadStrides;

// What shaders/attention.comp makes.
constexpr int64_t kGroupQueries = 4;
constexpr int64_t kMostValues = 256;

Refusal refuse(const OpContext& context, const Spec& spec) {
  const AttentionProblem& p = spec.problem;
  for (const int input : {spec.q.input, spec.k.input, spec.v.input})
    if (context.type(input) != DataType::Float) return "inputs of other types than float32";
  if (spec.q.norm_input >= 0 || spec.k.norm_input >= 0) return "a norm of Q and K";
  if (spec.bias_input >= 0 && context.type(spec.bias_input) != DataType::Float) return "a bias of another type";
  if (spec.past != Past::All) return "a past whose length is data";
  if (spec.cos_input >= 0) return "a rotary embedding";
  if (spec.key_mask != KeyMask::None && context.type(spec.key_mask_input) != DataType::Int32)
    return "a mask of keys of another type than int32";
  if (spec.key_mask != KeyMask::None && KeyMaskShape(spec).keys != p.keys) return "a mask of fewer keys than there are";
  if (p.size == 0 || p.keys == 0) return "no keys";
  if (spec.mask_input >= 0 && context.type(spec.mask_input) != DataType::Float && !p.mask_is_bool)
    return "a mask of another type than float32 and bool";
  if (spec.lengths_input >= 0 && context.type(spec.lengths_input) != DataType::Int64)
    return "lengths of another type than int64";
  return std::nullopt;
}

// A tensor of heads that a shader reads.
struct Side {
  GpuOperand operand;
  HeadStrides strides;
  int64_t offset = 0;
};

// Q, K or V as the input has it, or with a bias.
Side read_side(const Spec& spec, const Operand& from, const GpuTraits& traits, GpuWork& work) {
  const Heads& heads = from.heads;
  const Side side{GpuWork::input(from.input), heads.strides, heads.offset};
  if (spec.bias_input < 0 || from.bias_at < 0) return side;
  const int64_t count = spec.problem.batch * heads.heads * heads.rows * heads.size;
  const GpuOperand sum = work.scratch(static_cast<size_t>(count) * sizeof(float));
  GpuDispatch& dispatch = work.dispatch("head_bias");
  dispatch.operands = {GpuWork::written(sum), side.operand, GpuWork::input(spec.bias_input)};
  dispatch.push.u32(count).u32(heads.heads).u32(heads.rows).u32(heads.size).u32(side.offset);
  const HeadStrides& steps = side.strides;
  dispatch.push.u32(steps.batch).u32(steps.head).u32(steps.row).u32(steps.item).u32(from.bias_at);
  dispatch.groups = groups_for(count, 64, traits);
  return {sum, dense(heads.heads, heads.rows, heads.size), 0};
}

// K or V, joined with the past in the present where there is one.
Refusal join_past(const OpContext& context, const Spec& spec, const Operand& from, const Cache& cache, Side& side,
                  const GpuTraits& traits, GpuWork& work) {
  const Heads& heads = from.heads;
  const Side fresh = read_side(spec, from, traits, work);
  side = fresh;
  const bool given = cache.present >= 0 && context.has_output(cache.present);
  if (cache.past < 0 && !given) return std::nullopt;
  const int64_t batch = spec.problem.batch, past = cache.past >= 0 ? spec.past_rows : 0;
  const int64_t capacity = given ? spec.present_rows : spec.problem.keys;
  const HeadStrides whole = dense(heads.heads, capacity, heads.size);
  if (past + heads.rows != spec.problem.keys || spec.problem.keys > capacity) return "a cache with room at its end";
  side.strides = whole;
  side.offset = given ? cache.present_at : 0;
  if (given)
    side.operand = GpuWork::output(cache.present);
  else
    side.operand = GpuWork::written(
        work.scratch(static_cast<size_t>(batch * heads.heads * capacity * heads.size) * sizeof(float)));
  auto copy = [&](GpuOperand source, int64_t rows, const HeadStrides& strides, int64_t at, int64_t to) {
    const kernels::StridedCopy rows_copy(DataType::Float, Shape{batch, heads.heads, rows, heads.size},
                                         {strides.batch, strides.head, strides.row, strides.item},
                                         {whole.batch, whole.head, whole.row, 1}, at, side.offset + to * whole.row);
    return gpu::add_copy(work, rows_copy, source, side.operand, traits);
  };
  if (past > 0) {
    const HeadStrides strides = dense(heads.heads, spec.past_rows, heads.size);
    if (Refusal refusal = copy(GpuWork::input(cache.past), past, strides, cache.past_at, 0)) return refusal;
  }
  if (Refusal refusal = copy(fresh.operand, heads.rows, fresh.strides, fresh.offset, past)) return refusal;
  side.operand.written = false;
  return std::nullopt;
}

std::vector<int64_t> head_offsets(const AttentionProblem& p, const HeadStrides& strides, int64_t start,
                                  int64_t shared_by) {
  std::vector<int64_t> offsets;
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.heads; ++h) offsets.push_back(start + b * strides.batch + h / shared_by * strides.head);
  return offsets;
}

uint32_t mask_mode(const Spec& spec) { return spec.mask_input < 0 ? 0u : spec.problem.mask_is_bool ? 2u : 1u; }

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

Refusal add_fused(const Spec& spec, const Side& q, const Side& k, const Side& v, const GpuTraits& traits,
                  GpuWork& work) {
  const AttentionProblem& p = spec.problem;
  const int64_t blocks = (p.queries + kGroupQueries - 1) / kGroupQueries;
  if (blocks > traits.max_groups[0] || p.heads > traits.max_groups[1] || p.batch > traits.max_groups[2])
    return "attention larger than the device's grid";
  std::vector<uint32_t> words;
  auto add_tensor = [&](int64_t offset, const HeadStrides& strides) {
    for (const int64_t word : {offset, strides.batch, strides.head, strides.row, strides.item})
      words.push_back(static_cast<uint32_t>(word));
  };
  for (const Side* side : {&q, &k, &v}) add_tensor(side->offset, side->strides);
  add_tensor(0, p.y);
  add_tensor(0, p.mask);
  const GpuOperand table = work.table(std::move(words));
  const bool lengths = spec.lengths_input >= 0;
  uint32_t parts = lengths ? 1 : 0;
  if (lengths && spec.shift_by_lengths) parts |= 2;
  if (p.has_sink) parts |= spec.sink_input >= 0 ? 12 : 4;
  GpuDispatch& dispatch = work.dispatch("attention");
  dispatch.constants = {0,
                        0,
                        mask_mode(spec),
                        p.causal ? 1u : 0u,
                        p.masked_rows_are_zero ? 1u : 0u,
                        parts,
                        p.left_window >= 0 ? 1u : 0u,
                        p.right_window >= 0 ? 1u : 0u};
  const auto input = [](int at) { return at >= 0 ? GpuWork::input(at) : GpuWork::none(); };
  dispatch.operands = {GpuWork::output(0),
                       q.operand,
                       k.operand,
                       v.operand,
                       input(spec.mask_input),
                       input(spec.lengths_input),
                       input(p.has_sink ? spec.sink_input : -1),
                       table};
  dispatch.push.u32(p.queries).u32(p.keys).u32(p.size).u32(p.value_size).u32(p.heads / p.kv_heads).i32(p.offset);
  dispatch.push.i32(std::clamp<int64_t>(p.left_window, 0, p.keys + p.queries));
  dispatch.push.i32(std::clamp<int64_t>(p.right_window, 0, p.keys + p.queries));
  dispatch.push.f32(static_cast<float>(p.scale)).f32(p.softcap);
  dispatch.push.u32(p.mask_batches).u32(std::min(p.mask_keys, p.keys));
  dispatch.groups = {static_cast<uint32_t>(blocks), static_cast<uint32_t>(p.heads), static_cast<uint32_t>(p.batch)};
  dispatch.flops = static_cast<double>(p.batch * p.heads * p.queries) * static_cast<double>(p.keys) *
                   static_cast<double>(p.size + p.value_size);
  return std::nullopt;
}

}  // namespace

Refusal gpu_attention(const OpContext& context, const Spec& spec, const GpuTraits& traits, GpuWork& work) {
  if (Refusal refusal = refuse(context, spec)) return refusal;
  const AttentionProblem& p = spec.problem;
  const bool plain = spec.lengths_input < 0 && !p.has_lengths && !p.has_offsets && !p.has_sink && p.left_window < 0 &&
                     p.right_window < 0;
  const double scores = static_cast<double>(p.batch * p.heads * p.queries) * static_cast<double>(p.keys);
  const bool parts_fit = scores < std::numeric_limits<int32_t>::max() / 2;
  const bool needs_parts = spec.qk_output >= 0 || spec.key_mask != KeyMask::None;
  if (needs_parts && !(plain && parts_fit))
    return "the scores as an output, or a mask of keys, with lengths, windows or a sink";
  // Cooperative matrices make up for a tensor of scores.
  const bool by_matrices = traits.halves && !traits.matrices.empty();
  const bool in_parts =
      plain && parts_fit && (traits.slow_shared || by_matrices || needs_parts || p.value_size > kMostValues);
  if (!in_parts && p.value_size > kMostValues) return "heads of more than 256 items";
  const Side q = read_side(spec, spec.q, traits, work);
  Side k, v;
  if (Refusal refusal = join_past(context, spec, spec.k, spec.k_cache, k, traits, work)) return refusal;
  if (Refusal refusal = join_past(context, spec, spec.v, spec.v_cache, v, traits, work)) return refusal;
  Spec joined = spec;
  if (spec.past == Past::All) joined.problem.offset = spec.past_rows;
  return in_parts ? add_in_parts(joined, q, k, v, traits, work) : add_fused(joined, q, k, v, traits, work);
}

}  // namespace fastort::attention
