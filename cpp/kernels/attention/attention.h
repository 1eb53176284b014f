#pragma once

#include <cstddef>
#include <cstdint>

#include "base/parallel.h"

namespace fastort::kernels {

// Distances in elements between the batches, heads, rows (tokens) and items of a tensor of heads.
struct HeadStrides {
  int64_t batch = 0, head = 0, row = 0, item = 1;
};

enum class QkOutput : uint8_t { None, Raw, Capped, Biased, Probabilities };

// y = softmax(softcap(scale * Q * K^T) + mask) * V for each head; a group of query heads shares one head of K and V.
struct AttentionProblem {
  int64_t batch = 0, heads = 0, kv_heads = 0;
  int64_t queries = 0, keys = 0, size = 0, value_size = 0;  // tokens of Q, tokens of K and V, items of a head
  HeadStrides q, k, v, y;                                   // y's items are adjacent
  double scale = 1;
  float softcap = 0;
  bool has_mask = false, mask_is_bool = false;
  HeadStrides mask;          // 0 where the mask is broadcast; `row` for queries, `item` (0 or 1) for keys
  int64_t mask_batches = 1;  // the mask repeats along the batch after so many
  int64_t mask_keys = 0;     // keys behind these are masked
  // Query i stands at position i + offset among the keys; with sequence lengths at i + length - queries.
  int64_t offset = 0;
  bool causal = false;
  int64_t left_window = -1, right_window = -1;
  bool has_lengths = false;          // of the keys, for each batch item
  bool lengths_shift = false;        // the lengths say where the queries stand
  bool masked_rows_are_zero = true;  // else NaN, as softmax has it
  QkOutput qk_output = QkOutput::None;
};

template <class T>
struct AttentionTensors {
  const T *q, *k, *v;
  const T* mask;          // additive
  const bool* bool_mask;  // true: takes part
  const int64_t* lengths;
  T* y;
  T* qk;  // [batch, heads, queries, keys]
};

size_t attention_workspace_bytes(const AttentionProblem& problem, int threads);
// `threads` as for the workspace.
void run_attention(const AttentionProblem& problem, const AttentionTensors<float>& tensors, int threads,
                   std::byte* workspace, const Parallel& parallel);

// Plain loops.
template <class T>
size_t attention_reference_workspace_bytes(const AttentionProblem& problem);
template <class T>
void run_attention_reference(const AttentionProblem& problem, const AttentionTensors<T>& tensors, std::byte* workspace);

// The keys [begin, end) that query i of batch item b may see.
struct KeyRange {
  int64_t begin, end;
};
KeyRange visible_keys(const AttentionProblem& problem, const int64_t* lengths, int64_t b, int64_t i);

}  // namespace fastort::kernels
