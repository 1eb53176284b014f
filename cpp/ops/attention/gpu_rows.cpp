// Rows of Q, K and V on the GPU: as they are, with a bias, or with all that stands between them and attention.
#include <algorithm>

#include "ops/attention/gpu_parts.h"
#include "ops/gpu/move.h"

namespace fastort::attention {
namespace {

using kernels::HeadStrides;

GpuOperand input_or_none(int input) { return input >= 0 ? GpuWork::input(input) : GpuWork::none(); }

// Rows [batch, heads, capacity, size] of a result from an element on.
struct MadeRows {
  GpuOperand result;
  int64_t capacity = 0, to = 0;
  uint32_t behind = 0;  // as in shaders/attention_rows.comp
};

void add_rows(const Spec& spec, const Operand& from, const Cache& cache, bool rotated, const MadeRows& made,
              const GpuTraits& traits, GpuWork& work) {
  const Heads& heads = from.heads;
  const int64_t rows = spec.problem.batch * heads.heads * made.capacity;
  if (rows == 0) return;
  const bool positions = rotated && spec.positions_input >= 0;
  GpuDispatch& dispatch = work.dispatch("attention_rows");
  dispatch.constants = {past_mode(spec),
                        from.bias_at >= 0 ? 1u : 0u,
                        from.norm_input >= 0 ? 1u : 0u,
                        !rotated           ? 0u
                        : spec.interleaved ? 2u
                                           : 1u,
                        !positions            ? 0u
                        : spec.first_position ? 2u
                                              : 1u,
                        made.behind};
  // An empty past has no memory.
  const bool has_past = made.behind != 0 && cache.past >= 0 && spec.past_rows > 0;
  dispatch.operands = {GpuWork::written(made.result),
                       GpuWork::input(from.input),
                       has_past ? GpuWork::input(cache.past) : GpuWork::none(),
                       input_or_none(from.bias_at >= 0 ? spec.bias_input : -1),
                       input_or_none(from.norm_input),
                       input_or_none(rotated ? spec.cos_input : -1),
                       input_or_none(rotated ? spec.sin_input : -1),
                       input_or_none(positions ? spec.positions_input : -1),
                       input_or_none(past_mode(spec) != 0 ? spec.past_input : -1)};
  // The new rows are those of K, of which there are as many as queries where the length of the past is data.
  dispatch.push.u32(rows).u32(heads.heads).u32(made.capacity).u32(heads.size).i32(spec.k.heads.rows);
  dispatch.push.i32(spec.past_rows).i32(spec.problem.keys).u32(heads.offset);
  const HeadStrides& steps = heads.strides;
  dispatch.push.u32(steps.batch).u32(steps.head).u32(steps.row).u32(steps.item).u32(std::max<int64_t>(0, from.bias_at));
  dispatch.push.u32(spec.rotated).u32(spec.positions).f32(static_cast<float>(spec.norm_epsilon));
  dispatch.push.u32(made.to).u32(cache.past_at);
  dispatch.groups = groups_for(rows, 1, traits);
}

}  // namespace

uint32_t past_mode(const Spec& spec) {
  if (spec.past == Past::All) return 0;
  return spec.past == Past::Scalar ? 1 : spec.prompt ? 3 : 2;
}

Side read_tokens(const Spec& spec, const Operand& from, const GpuTraits& traits, GpuWork& work) {
  const Heads& heads = from.heads;
  const Side side{GpuWork::input(from.input), heads.strides, heads.offset};
  const int64_t count = spec.problem.batch * heads.heads * heads.rows * heads.size;
  if (spec.bias_input < 0 || from.bias_at < 0 || count == 0) return side;
  const GpuOperand sum = work.scratch(static_cast<size_t>(count) * sizeof(float));
  GpuDispatch& dispatch = work.dispatch("head_bias");
  dispatch.operands = {GpuWork::written(sum), side.operand, GpuWork::input(spec.bias_input)};
  dispatch.push.u32(count).u32(heads.heads).u32(heads.rows).u32(heads.size).u32(side.offset);
  const HeadStrides& steps = side.strides;
  dispatch.push.u32(steps.batch).u32(steps.head).u32(steps.row).u32(steps.item).u32(from.bias_at);
  dispatch.groups = groups_for(count, 64, traits);
  return {sum, dense(heads.heads, heads.rows, heads.size), 0};
}

Side make_queries(const Spec& spec, const GpuTraits& traits, GpuWork& work) {
  const Heads& heads = spec.q.heads;
  const int64_t count = spec.problem.batch * heads.heads * heads.rows * heads.size;
  if (count == 0 || (spec.q.norm_input < 0 && spec.cos_input < 0)) return read_tokens(spec, spec.q, traits, work);
  const GpuOperand made = work.scratch(static_cast<size_t>(count) * sizeof(float));
  add_rows(spec, spec.q, {}, spec.cos_input >= 0, {made, heads.rows, 0, 0}, traits, work);
  return {made, dense(heads.heads, heads.rows, heads.size), 0};
}

Refusal join_past(const OpContext& context, const Spec& spec, const Operand& from, const Cache& cache, bool rotated,
                  Side& side, const GpuTraits& traits, GpuWork& work) {
  const Heads& heads = from.heads;
  const bool given = cache.present >= 0 && context.has_output(cache.present);
  const bool plain = spec.past == Past::All && from.norm_input < 0 && !rotated;
  if (plain && cache.past < 0 && !given) {
    side = read_tokens(spec, from, traits, work);
    return std::nullopt;
  }
  const int64_t batch = spec.problem.batch, past = cache.past >= 0 ? spec.past_rows : 0;
  const int64_t capacity = given ? spec.present_rows : spec.problem.keys;
  const HeadStrides whole = dense(heads.heads, capacity, heads.size);
  side.strides = whole;
  side.offset = given ? cache.present_at : 0;
  if (given)
    side.operand = GpuWork::output(cache.present);
  else
    side.operand = work.scratch(static_cast<size_t>(batch * heads.heads * capacity * heads.size) * sizeof(float));
  if (!plain || past + heads.rows != spec.problem.keys || spec.problem.keys != capacity) {
    // A single number says where the new rows go into a buffer that keeps what it has there.
    const uint32_t behind = spec.past == Past::Scalar ? 2 : 1;
    add_rows(spec, from, cache, rotated, {side.operand, capacity, side.offset, behind}, traits, work);
    side.operand.written = false;
    return std::nullopt;
  }
  const Side fresh = read_tokens(spec, from, traits, work);
  auto copy = [&](GpuOperand source, int64_t rows, const HeadStrides& strides, int64_t at, int64_t to) {
    if (batch * heads.heads * rows * heads.size == 0) return Refusal();
    const kernels::StridedCopy rows_copy(DataType::Float, Shape{batch, heads.heads, rows, heads.size},
                                         {strides.batch, strides.head, strides.row, strides.item},
                                         {whole.batch, whole.head, whole.row, 1}, at, side.offset + to * whole.row);
    return gpu::add_copy(work, rows_copy, source, GpuWork::written(side.operand), traits);
  };
  const HeadStrides strides = dense(heads.heads, spec.past_rows, heads.size);
  if (past > 0)
    if (Refusal refusal = copy(GpuWork::input(cache.past), past, strides, cache.past_at, 0)) return refusal;
  if (Refusal refusal = copy(fresh.operand, heads.rows, fresh.strides, fresh.offset, past)) return refusal;
  side.operand.written = false;
  return std::nullopt;
}

}  // namespace fastort::attention
