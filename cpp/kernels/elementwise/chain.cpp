#include "kernels/elementwise/chain.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "hwy/cache_control.h"

namespace fastort::kernels {
namespace {

constexpr int64_t kBlock = 512;

void prefetch(const float* base, int64_t from, int64_t until) {
  constexpr int64_t kLine = 16;
  for (int64_t i = from; i < until; i += kLine) hwy::Prefetch(base + i);
}

[[noreturn]] void bad_step(size_t step, const std::string& what) {
  invalid_graph("ElementwiseChain: step " + std::to_string(step) + ": " + what);
}

}  // namespace

Chain Chain::parse(std::span<const int64_t> program, std::span<const float> params, int inputs) {
  const size_t count = program.size() / 4;
  if (count == 0 || program.size() % 4 != 0 || count > kMaxChainSteps || params.size() != 2 * count)
    invalid_graph("ElementwiseChain: needs four integers of 'program' and two numbers of 'params' for each of 1 to " +
                  std::to_string(kMaxChainSteps) + " steps");
  Chain chain;
  uint32_t written = 0;
  int64_t cost = 1;
  for (size_t i = 0; i < count; ++i) {
    const int64_t function = program[4 * i], to = program[4 * i + 1];
    Step step;
    auto operand = [&](int64_t code) {
      if (code >= 0 && code < kChainRegisters && (written >> code & 1)) return static_cast<int>(code);
      const int64_t input = code - chain_input(0);
      if (input < 0 || input >= inputs) bad_step(i, "no such operand: " + std::to_string(code));
      return kChainRegisters + static_cast<int>(input);
    };
    if (to < 0 || to >= kChainRegisters) bad_step(i, "no such register: " + std::to_string(to));
    step.to = static_cast<int>(to);
    step.a = operand(program[4 * i + 2]);
    step.params = {params[2 * i], params[2 * i + 1]};
    step.binary = function >= 256;
    if (step.binary) {
      step.b = operand(program[4 * i + 3]);
      const int64_t op = function - 256;
      step.one = static_cast<BinaryOp>(op) == BinaryOp::Add   ? One::Add
                 : static_cast<BinaryOp>(op) == BinaryOp::Sub ? One::Sub
                 : static_cast<BinaryOp>(op) == BinaryOp::Mul ? One::Mul
                 : static_cast<BinaryOp>(op) == BinaryOp::Div ? One::Div
                                                              : One::Call;
      if (op > static_cast<int64_t>(BinaryOp::Pow)) bad_step(i, "no such function: " + std::to_string(function));
      step.functions = vector_binary_f32(static_cast<BinaryOp>(op));
      if (!step.functions.vv) {
        step.functions = scalar_binary(static_cast<BinaryOp>(op), DataType::Float);
        cost += 4;
      }
      if (!step.functions.vv) bad_step(i, "no such function: " + std::to_string(function));
    } else {
      if (function < 0 || function >= static_cast<int64_t>(UnaryOp::kCount))
        bad_step(i, "no such function: " + std::to_string(function));
      step.unary = unary_f32(static_cast<UnaryOp>(function));
      if (function >= static_cast<int64_t>(UnaryOp::Exp)) cost += 3;
    }
    const auto earlier = [&](int read) { return read < kChainRegisters && read != chain.steps_.back().to; };
    if (i > 0 && (earlier(step.a) || (step.binary && earlier(step.b)))) chain.straight_ = false;
    written |= 1u << to;
    chain.steps_.push_back(step);
  }
  chain.grain_ = std::max<int64_t>(1024, 16384 / cost);
  return chain;
}

void Chain::run(std::span<const uint8_t> vector, const std::byte* const* src, float* dst, int64_t n,
                bool streams) const {
  alignas(64) float registers[kChainRegisters][kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t block = std::min(kBlock, n - begin);
    auto share = [&](size_t step) { return block * static_cast<int64_t>(step) / static_cast<int64_t>(steps_.size()); };
    auto is_vector = [&](int operand) {
      return operand < kChainRegisters || vector[static_cast<size_t>(operand - kChainRegisters)] != 0;
    };
    auto data = [&](int operand) -> const float* {
      if (operand < kChainRegisters) return registers[operand];
      const size_t input = static_cast<size_t>(operand - kChainRegisters);
      return reinterpret_cast<const float*>(src[input]) + (vector[input] ? begin : 0);
    };
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      // Every step fetches its share of what the next block reads and writes.
      if (streams) {
        const int64_t from = share(i) + kBlock, until = share(i + 1) + kBlock;
        for (size_t input = 0; input < vector.size(); ++input)
          if (vector[input]) prefetch(reinterpret_cast<const float*>(src[input]) + begin, from, until);
        prefetch(dst + begin, from, until);
      }
      float* to = i + 1 == steps_.size() ? dst + begin : registers[step.to];
      const float* a = data(step.a);
      const bool a_vector = is_vector(step.a);
      if (!step.binary) {
        step.unary(a, to, a_vector ? block : 1, step.params);
        if (!a_vector) std::fill_n(to + 1, block - 1, to[0]);
        continue;
      }
      const float* b = data(step.b);
      const bool b_vector = is_vector(step.b);
      if (a_vector || b_vector) {
        (a_vector && b_vector ? step.functions.vv : b_vector ? step.functions.sv : step.functions.vs)(a, b, to, block);
      } else {
        step.functions.vs(a, b, to, 1);
        std::fill_n(to + 1, block - 1, to[0]);
      }
    }
  }
}

void Chain::run_one(const std::byte* const* src, float* dst) const {
  if (!straight_) {
    const std::array<uint8_t, kMaxChainSteps + 1> no_vector{};
    return run(no_vector, src, dst, 1, false);
  }
  // What a step makes stays in a register of the processor for the next one.
  float x = 0;
  for (const Step& step : steps_) {
    const auto value = [&](int operand) {
      return operand < kChainRegisters ? x : *reinterpret_cast<const float*>(src[operand - kChainRegisters]);
    };
    const float a = value(step.a);
    switch (step.one) {
      case One::Add:
        x = a + value(step.b);
        break;
      case One::Sub:
        x = a - value(step.b);
        break;
      case One::Mul:
        x = a * value(step.b);
        break;
      case One::Div:
        x = a / value(step.b);
        break;
      case One::Call: {
        float result;
        if (step.binary) {
          const float b = value(step.b);
          step.functions.vs(&a, &b, &result, 1);
        } else {
          step.unary(&a, &result, 1, step.params);
        }
        x = result;
        break;
      }
    }
  }
  *dst = x;
}

}  // namespace fastort::kernels
