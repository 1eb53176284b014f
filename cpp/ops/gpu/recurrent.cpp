#include "ops/gpu/recurrent.h"

#include <bit>

#include "ops/gpu/gemm.h"

namespace fastort::gpu {
namespace {

using kernels::RnnKind;

constexpr uint32_t kGroup = 64;
// A run records a dispatch for each step.
constexpr int64_t kMostSteps = 4096;

bool is_there(const GpuOperand& operand) { return operand.kind != GpuOperand::Kind::None; }

uint32_t parts_of(const kernels::RnnProblem& p, const Recurrent& operands) {
  const bool parts[] = {is_there(operands.b),
                        is_there(operands.peepholes),
                        is_there(operands.lengths),
                        is_there(operands.initial_h),
                        is_there(operands.initial_c),
                        is_there(operands.y),
                        is_there(operands.y_h),
                        is_there(operands.y_c),
                        p.input_forget,
                        p.linear_before_reset,
                        p.batch_first,
                        p.reverse};
  uint32_t bits = 0, bit = 0;
  for (const bool part : parts) bits |= (part ? 1u : 0u) << bit++;
  return bits;
}

GpuOperand activation_table(GpuWork& work, const kernels::RnnProblem& p) {
  std::vector<uint32_t> words;
  for (int d = 0; d < p.directions; ++d) {
    for (const kernels::GateActivation& activation : p.activations[d]) {
      words.push_back(static_cast<uint32_t>(activation.function));
      words.push_back(std::bit_cast<uint32_t>(activation.alpha));
      words.push_back(std::bit_cast<uint32_t>(activation.beta));
    }
  }
  return work.table(std::move(words));
}

}  // namespace

Refusal add_recurrent(GpuWork& work, const kernels::RnnProblem& p, const Recurrent& operands, const GpuTraits& traits) {
  if (p.steps > kMostSteps) return "more than 4096 steps";
  if (p.inputs == 0 || p.hidden == 0 || p.steps == 0 || p.batch == 0) return "a dimension is zero";
  const int64_t gates = p.gates() * p.hidden, count = p.directions * p.batch * p.hidden;
  const auto scratch = [&](int64_t items) { return work.scratch(static_cast<size_t>(items) * sizeof(float)); };
  const GpuOperand projected = scratch(p.directions * p.steps * p.batch * gates);
  GpuOperand h = scratch(count), next = scratch(count);
  const GpuOperand c = p.kind == RnnKind::Lstm ? scratch(count) : GpuWork::none();
  const bool reset_first = p.kind == RnnKind::Gru && !p.linear_before_reset;
  const GpuOperand gate_values = reset_first ? scratch(2 * count) : GpuWork::none();
  const GpuOperand activations = activation_table(work, p);

  Gemm product;
  product.m = p.steps * p.batch;
  product.n = gates;
  product.k = p.inputs;
  product.a_row = p.inputs;
  product.b_step = 1;
  product.b_column = p.inputs;
  for (int64_t d = 0; d < p.directions; ++d) {
    product.a_offsets.push_back(0);
    product.b_offsets.push_back(d * gates * p.inputs);
  }
  product.a = operands.x;
  product.b = operands.w;
  product.result = GpuWork::written(projected);
  if (Refusal refusal = add_gemm(product, traits, work)) return refusal;

  const std::vector<uint32_t> constants{static_cast<uint32_t>(p.kind), parts_of(p, operands)};
  auto add = [&](std::string_view shader, std::vector<GpuOperand> list, int64_t step) {
    GpuDispatch& dispatch = work.dispatch(shader);
    dispatch.constants = constants;
    dispatch.operands = std::move(list);
    dispatch.push.u32(count).u32(p.steps).u32(p.batch).u32(p.hidden).u32(p.directions).u32(step).f32(p.clip);
    dispatch.groups = groups_for(count, kGroup, traits);
    dispatch.flops = static_cast<double>(count) * static_cast<double>(gates);
  };
  const auto written = [](GpuOperand operand) { return is_there(operand) ? GpuWork::written(operand) : operand; };
  add("rnn.start", {written(h), written(c), operands.initial_h, operands.initial_c, operands.lengths}, 0);
  for (int64_t step = 0; step < p.steps; ++step) {
    if (reset_first)
      add("rnn.reset",
          {GpuWork::none(), GpuWork::none(), projected, operands.r, operands.b, GpuWork::none(), h, GpuWork::none(),
           operands.lengths, activations, written(gate_values)},
          step);
    add("rnn.step",
        {written(next), operands.y, projected, operands.r, operands.b, operands.peepholes, h, written(c),
         operands.lengths, activations, gate_values},
        step);
    std::swap(h, next);
  }
  if (is_there(operands.y_h) || is_there(operands.y_c)) add("rnn.finish", {operands.y_h, operands.y_c, h, c}, 0);
  return std::nullopt;
}

}  // namespace fastort::gpu
