#pragma once

#include <string>

#include "kernels/attention/attention.h"
#include "ops/op.h"

// The parts of the attention operators: each reads its node into a Spec (kernel.h), which one kernel computes.
namespace fastort::attention {

// [batch, heads, rows, size] in any order in memory, as a part of an input. Sizes may be symbols while types are
// inferred; the strides mean something only where they are known.
struct Heads {
  Dim batch = 0, heads = 0, rows = 0, size = 0;
  kernels::HeadStrides strides;
  int64_t offset = 0;
};

struct Part {
  int64_t parts = 1, index = 0;
};

// An input in one of the layouts "BHSD", "BSHD" and "SBHD" (also with the last two dimensions as one), and "BHDS" for
// transposed keys. A tensor of three dimensions may hold several parts side by side in its last one (Q, K and V of one
// product).
template <class Context>
Heads read_heads(const Context& context, int input, const std::string& layout, int64_t heads, Part part = {});

// Rows of [batch, heads, rows, size] one behind the other.
kernels::HeadStrides dense(int64_t heads, int64_t rows, int64_t size);
// Tokens [batch, rows] of `token` items each, of which `heads` * `size` from `offset` on are the heads, `head_stride`
// apart.
Heads token_heads(Dim batch, Dim rows, Dim heads, Dim size, int64_t token, int64_t head_stride, int64_t offset);
// [batch, heads, rows, size].
Heads dense_heads(const Shape& shape);

inline bool differ(Dim a, Dim b) { return is_known(a) && is_known(b) && a != b; }

extern template Heads read_heads(const InferContext&, int, const std::string&, int64_t, Part);
extern template Heads read_heads(const OpContext&, int, const std::string&, int64_t, Part);

}  // namespace fastort::attention
