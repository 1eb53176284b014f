#pragma once

#include <memory>

#include "ops/attention/heads.h"
#include "ops/gpu.h"

namespace fastort::attention {

// One of Q, K and V as the node gives it.
struct Operand {
  int input = -1;
  Heads heads;
  int64_t bias_at = -1;  // where its part of the bias begins; -1: none
  int norm_input = -1;   // weights [size] of an RMS norm of each head; -1: none
};

// Past and present rows of K or V, [batch, heads, rows, size] from an element of a tensor on.
struct Cache {
  int past = -1, present = -1;  // an input and an output
  int64_t past_at = 0, present_at = 0;
};

// How many rows of the past there are, and so where the new ones go.
enum class Past : uint8_t {
  All,     // as many as the tensor has, or none
  Scalar,  // an input says it; past and present are buffers of the same size
  Totals,  // an input says how many rows there are with the new ones, less one, for each batch item
};

enum class KeyMask : uint8_t {
  None,
  Ends,   // [batch, ...]: keys from there on are masked
  Spans,  // [2 * batch]: keys from the first half on and before the second half are masked
  Keys,   // [batch, keys], 0: masked
  Pairs,  // [batch, queries, keys]
  Square  // [batch, 1, most keys, most keys], of which the rows of the queries are read
};

// An attention node with concrete sizes. `problem` says how K and V lie as the kernel reads the heads themselves; where
// there is a cache or something is added to K or V, the kernel finds another place.
struct Spec {
  kernels::AttentionProblem problem;
  DataType type = DataType::Float;
  Operand q, k, v;
  int bias_input = -1;
  double norm_epsilon = 0;

  Cache k_cache, v_cache;
  int64_t past_rows = 0, present_rows = 0;  // of the tensors
  Past past = Past::All;
  int past_input = -1;
  bool prompt = false;            // with Past::Totals: there is no past, whatever the buffers hold
  int lengths_input = -1;         // int64 numbers of keys, without a past
  bool shift_by_lengths = false;  // the last query stands at the last key

  // Rotary embedding of Q and K: rows of caches [positions, rotated / 2].
  int cos_input = -1, sin_input = -1, positions_input = -1;
  int64_t rotated = 0, positions = 0;
  bool interleaved = false, first_position = false;  // the input has the position of the first row

  int mask_input = -1;  // as `problem.mask` says
  KeyMask key_mask = KeyMask::None;
  int key_mask_input = -1;
  int64_t key_mask_size = 0;  // its last dimension
  float mask_filter = -10000;
  int sink_input = -1;  // -1 with problem.has_sink: zeros
  int qk_output = -1;   // the scores; the result is output 0
};

std::unique_ptr<Kernel> make_attention(const OpContext& context, Spec spec);
Refusal gpu_attention(const OpContext& context, const Spec& spec, const GpuTraits& traits, GpuWork& work);

}  // namespace fastort::attention
