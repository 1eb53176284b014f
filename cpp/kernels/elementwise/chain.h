#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/broadcast.h"
#include "kernels/elementwise/unary.h"

namespace fastort::kernels {

// A straight-line program over float32 elements, run over blocks that stay in L1, so that a chain of elementwise
// operators reads and writes memory once.
//
// Encoding (the attributes of fastort.ElementwiseChain): `program` holds four integers a step, {function, to, a, b},
// and `params` two numbers a step, the parameters of its function (UnaryParams) or 0.
//   function  chain_unary(op) or chain_binary(op)
//   to        register 0 .. kRegisters - 1 that takes the result; the last step's result is the output
//   a, b      operand: a register that an earlier step has written, or chain_input(i); b of a unary function is -1
// Inputs are tensors that broadcast to the output; a number is a rank-0 input.
inline constexpr int kChainRegisters = 8;
inline constexpr int kMaxChainSteps = 64;
constexpr int64_t chain_unary(UnaryOp op) { return static_cast<int64_t>(op); }
constexpr int64_t chain_binary(BinaryOp op) { return 256 + static_cast<int64_t>(op); }
constexpr int64_t chain_input(int i) { return 256 + i; }

class Chain {
 public:
  // Throws InvalidGraph with the step where the program is wrong. Functions that give bool are refused.
  static Chain parse(std::span<const int64_t> program, std::span<const float> params, int inputs);

  // One piece of a Broadcast: `vector[i]` says whether input i is a vector or one element. `dst` may be an input that
  // is a vector. `streams`: the tensors are larger than the caches, and what follows the piece in memory comes next.
  void run(std::span<const uint8_t> vector, const std::byte* const* src, float* dst, int64_t n, bool streams) const;
  // The same for inputs and an output of one element.
  void run_one(const std::byte* const* src, float* dst) const;
  // Elements that make a piece of work worth a thread.
  int64_t grain() const { return grain_; }

 private:
  // How a step takes one element: by itself, or by a call of the loops for many.
  enum class One : uint8_t { Add, Sub, Mul, Div, Call };
  struct Step {
    bool binary = false;
    One one = One::Call;
    UnaryFn unary = nullptr;
    UnaryParams params;
    BinaryFns functions;
    int to = 0;
    int a = 0, b = 0;  // a register, or kChainRegisters + the input
  };
  std::vector<Step> steps_;
  bool straight_ = true;  // registers are read by the step behind the one that wrote them alone
  int64_t grain_ = 16384;
};

}  // namespace fastort::kernels
