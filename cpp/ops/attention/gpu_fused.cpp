// Attention on the GPU without a tensor of scores.
#include <algorithm>

#include "ops/attention/gpu_parts.h"
#include "ops/attention/key_mask.h"

namespace fastort::attention {
namespace {

using kernels::AttentionProblem;
using kernels::HeadStrides;

// What shaders/attention.comp makes.
constexpr int64_t kGroupQueries = 4;
// Groups that keep a GPU busy, and keys that are worth a group of their own.
constexpr int64_t kEnoughGroups = 256, kLeastKeys = 256;
// A window that holds every key, as far from a query as kAllKeys in shaders/attention.comp may set it.
constexpr int64_t kWidest = int64_t{1} << 30;

// Groups that share the keys of the same rows out among themselves.
int64_t parts_of(const AttentionProblem& p, int64_t groups) {
  if (groups >= kEnoughGroups) return 1;
  return std::clamp<int64_t>(std::min(kEnoughGroups / std::max<int64_t>(1, groups), p.keys / kLeastKeys), 1, 64);
}

// The number of `kScores` in shaders/attention.comp.
uint32_t scores_mode(const Spec& spec) {
  using kernels::QkOutput;
  if (spec.qk_output < 0) return 0;
  switch (spec.problem.qk_output) {
    case QkOutput::Raw:
      return 1;
    case QkOutput::Capped:
      return 2;
    case QkOutput::Biased:
      return spec.problem.unseen_scores_are_zero ? 4 : 3;
    case QkOutput::Probabilities:
      return 5;
    default:
      return 0;
  }
}

// The mask of keys as numbers to add to the scores, [batch, rows, keys].
GpuOperand make_key_mask(const Spec& spec, const KeyMaskShape& shape, const GpuTraits& traits, GpuWork& work) {
  const int64_t count = spec.problem.batch * shape.rows * shape.keys;
  const GpuOperand made = work.scratch(static_cast<size_t>(count) * sizeof(float));
  if (count == 0) return made;
  GpuDispatch& dispatch = work.dispatch("key_mask");
  dispatch.constants = {past_mode(spec), static_cast<uint32_t>(spec.key_mask)};
  dispatch.operands = {GpuWork::written(made), GpuWork::input(spec.key_mask_input),
                       past_mode(spec) != 0 ? GpuWork::input(spec.past_input) : GpuWork::none()};
  dispatch.push.u32(count).u32(spec.problem.batch).u32(shape.rows).u32(shape.keys).u32(spec.key_mask_size);
  dispatch.push.i32(spec.k.heads.rows).i32(spec.past_rows).f32(spec.mask_filter);
  dispatch.groups = groups_for(count, 64, traits);
  return made;
}

}  // namespace

Refusal add_fused(const Spec& spec, const Side& q, const Side& k, const Side& v, const GpuTraits& traits,
                  GpuWork& work) {
  const AttentionProblem& p = spec.problem;
  const int64_t shared_by = p.heads / p.kv_heads;
  const int64_t blocks = (p.queries * shared_by + kGroupQueries - 1) / kGroupQueries;
  // What keeps scores looks at all keys.
  const int64_t parts = spec.qk_output >= 0 ? 1 : parts_of(p, blocks * p.kv_heads * p.batch);
  if (blocks * parts > traits.max_groups[0] || p.kv_heads > traits.max_groups[1] || p.batch > traits.max_groups[2])
    return "attention larger than the device's grid";
  GpuOperand second;
  KeyMaskShape second_shape;
  int64_t mask_keys = std::min(p.mask_keys, p.keys);
  if (spec.key_mask != KeyMask::None) {
    second_shape = KeyMaskShape(spec);
    mask_keys = std::min(mask_keys, second_shape.keys);
    second = make_key_mask(spec, second_shape, traits, work);
  }
  std::vector<uint32_t> words;
  auto add_tensor = [&](int64_t offset, const HeadStrides& strides) {
    for (const int64_t word : {offset, strides.batch, strides.head, strides.row, strides.item})
      words.push_back(static_cast<uint32_t>(word));
  };
  for (const Side* side : {&q, &k, &v}) add_tensor(side->offset, side->strides);
  add_tensor(0, p.y);
  add_tensor(0, p.mask);
  const GpuOperand table = work.table(std::move(words));
  const int64_t rows = p.batch * p.heads * p.queries;
  GpuOperand result = GpuWork::output(0);
  if (parts > 1)
    result = GpuWork::written(work.scratch(static_cast<size_t>(rows * parts * (p.value_size + 2)) * sizeof(float)));
  const bool lengths = spec.lengths_input >= 0;
  uint32_t bits = lengths ? 1 : 0;
  if (lengths && spec.shift_by_lengths) bits |= 2;
  if (p.has_sink) bits |= spec.sink_input >= 0 ? 12 : 4;
  if (spec.key_mask != KeyMask::None) bits |= 16;
  if (parts > 1) bits |= 32;
  const uint32_t zeros = p.masked_rows_are_zero ? 1 : 0;
  GpuDispatch& dispatch = work.dispatch("attention");
  dispatch.constants = {past_mode(spec),
                        mask_mode(spec),
                        p.causal ? 1u : 0u,
                        zeros,
                        bits,
                        p.left_window >= 0 ? 1u : 0u,
                        p.right_window >= 0 ? 1u : 0u,
                        scores_mode(spec)};
  const auto input = [](int at) { return at >= 0 ? GpuWork::input(at) : GpuWork::none(); };
  dispatch.operands = {result,
                       q.operand,
                       k.operand,
                       v.operand,
                       input(spec.mask_input),
                       input(past_mode(spec) != 0 ? spec.past_input : spec.lengths_input),
                       input(p.has_sink ? spec.sink_input : -1),
                       second,
                       table,
                       spec.qk_output >= 0 ? GpuWork::output(spec.qk_output) : GpuWork::none()};
  dispatch.push.u32(p.heads).u32(p.queries).u32(p.keys).u32(p.size).u32(p.value_size).u32(shared_by);
  dispatch.push.i32(p.offset).i32(spec.k.heads.rows);
  dispatch.push.i32(std::clamp<int64_t>(p.left_window, 0, kWidest));
  dispatch.push.i32(std::clamp<int64_t>(p.right_window, 0, kWidest));
  dispatch.push.f32(static_cast<float>(p.scale)).f32(p.softcap);
  dispatch.push.u32(p.mask_batches).u32(mask_keys);
  dispatch.push.u32(second_shape.rows * second_shape.keys).u32(second_shape.rows > 1 ? second_shape.keys : 0);
  dispatch.push.u32(parts);
  dispatch.groups = {static_cast<uint32_t>(blocks * parts), static_cast<uint32_t>(p.kv_heads),
                     static_cast<uint32_t>(p.batch)};
  dispatch.flops = static_cast<double>(rows) * static_cast<double>(p.keys) * static_cast<double>(p.size + p.value_size);
  if (parts == 1) return std::nullopt;
  result.written = false;
  GpuDispatch& join = work.dispatch("attention_join");
  join.constants = {zeros};
  join.operands = {GpuWork::output(0), result};
  join.push.u32(rows).u32(p.heads).u32(p.queries).u32(p.value_size).u32(parts);
  join.push.u32(p.y.batch).u32(p.y.head).u32(p.y.row);
  join.groups = groups_for(rows, 1, traits);
  return std::nullopt;
}

}  // namespace fastort::attention
