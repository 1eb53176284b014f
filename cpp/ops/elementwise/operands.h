#pragma once

#include <span>

#include "kernels/elementwise/broadcast.h"
#include "ops/op.h"

namespace fastort::elementwise {

// What elementwise operators share: inference, and the operands and output 0 of a node as one loop nest in any layout.

// All inputs have one type and broadcast; the type of input 0. Sums, products and so on of sizes stay known.
void infer_arithmetic(InferContext& context);
// The same, giving bool.
void infer_predicate(InferContext& context);
// Inputs of any types broadcast; the type of input 0.
void infer_mixed(InferContext& context);

// Both types are known and differ.
bool differ(DataType a, DataType b);

// Serves where inputs [0, count) are laid out so that `nest` can walk them beside output 0.
Refusal refuse_operands(const OpContext& context, int count);
Refusal refuse_one(const OpContext& context);  // input 0 alone; strings are refused
Refusal refuse_all(const OpContext& context);  // all inputs; strings are refused
Refusal refuse_other_than_strings(const OpContext& context);

// The loop nest over inputs [0, count). The operands must have been accepted.
kernels::Broadcast nest(const OpContext& context, int count);

// Throws InvalidGraph unless inputs [first, last) have the type of input `first`.
void check_same_type(const OpContext& context, int first, int last);

// The elements of output 0 that only fill the last block of channels; they must be zero.
class Padding {
 public:
  explicit Padding(const TensorDesc& tensor);
  bool empty() const { return lanes_ == 0; }
  void clear(std::byte* data, const Parallel& parallel) const;

 private:
  int64_t batch_ = 0, step_ = 0, first_ = 0, rows_ = 0, block_ = 0, lanes_ = 0;
  size_t item_ = 1;
};

// Elements that output 0 takes in its layout.
int64_t elements(const TensorDesc& tensor);

}  // namespace fastort::elementwise
