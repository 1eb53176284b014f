#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fn_ref.h"
#include "base/parallel.h"
#include "tensor/data_type.h"

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
  HeadStrides mask;               // 0 where the mask is broadcast; `row` for queries, `item` (0 or 1) for keys
  int64_t mask_batches = 1;       // the mask repeats along the batch after so many
  int64_t mask_keys = INT64_MAX;  // keys behind these are masked
  bool has_key_mask = false;      // a second mask, float and additive, with adjacent keys
  HeadStrides key_mask;           // `batch` and `row`
  int64_t offset = 0;             // query i stands at position i + offset among the keys
  bool has_offsets = false;       // for each batch item, in place of `offset`
  bool has_lengths = false;       // of the keys, for each batch item
  bool causal = false;
  int64_t left_window = -1, right_window = -1;
  bool has_sink = false;             // a number for each head, whose exponential joins the sum
  bool masked_rows_are_zero = true;  // else NaN, as softmax has it
  QkOutput qk_output = QkOutput::None;
  bool unseen_scores_are_zero = false;  // in QkOutput::Biased, for keys that a query may not see; else -inf
};

template <class T>
struct AttentionTensors {
  const T *q, *k, *v;
  const T* mask;          // additive
  const bool* bool_mask;  // true: takes part
  const T* key_mask;
  const int64_t *lengths, *offsets;
  const T* sink;
  T* y;
  T* qk;  // [batch, heads, queries, keys]
};

size_t attention_workspace_bytes(const AttentionProblem& problem, int threads);
// `threads` as for the workspace.
void run_attention(const AttentionProblem& problem, const AttentionTensors<float>& tensors, int threads,
                   std::byte* workspace, const Parallel& parallel);

// K and V where they are read once and no packing pays: for few queries, as in a decoder with a cache.
struct TypedRows {
  DataType type;  // float, float16 or bfloat16
  const void *k, *v;
};
// Called by the thread that reads rows [begin, end) of a head of K and V next, before it does.
using ReadyRows = FnRef<void(int64_t batch, int64_t kv_head, int64_t begin, int64_t end)>;

bool is_decoding(const AttentionProblem& problem);
size_t decoding_workspace_bytes(const AttentionProblem& problem, int threads);
// K and V of the tensors are not read.
void run_decoding(const AttentionProblem& problem, const AttentionTensors<float>& tensors, const TypedRows& rows,
                  int threads, std::byte* workspace, const Parallel& parallel, ReadyRows ready);

// Plain loops.
template <class T>
size_t attention_reference_workspace_bytes(const AttentionProblem& problem);
template <class T>
void run_attention_reference(const AttentionProblem& problem, const AttentionTensors<T>& tensors, std::byte* workspace);

// The keys [begin, end) that query i of batch item b may see.
struct KeyRange {
  int64_t begin, end;
};
KeyRange visible_keys(const AttentionProblem& problem, const int64_t* lengths, const int64_t* offsets, int64_t b,
                      int64_t i);

// The additive masks of query i for the keys of `range`, or nullptr; `scratch` has room for them.
const float* mask_row(const AttentionProblem& problem, const AttentionTensors<float>& tensors, int64_t b, int64_t h,
                      int64_t i, KeyRange range, float* scratch);

}  // namespace fastort::kernels
