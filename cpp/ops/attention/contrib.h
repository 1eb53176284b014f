#pragma once

#include "ops/attention/kernel.h"
#include "ops/core/move.h"

// What com.microsoft's attention operators have in common.
namespace fastort::attention {

// `scale`, 0 or absent: one over the root of the head size.
void read_scale(const OpContext& context, kernels::AttentionProblem& problem);

// mask_index or key_padding_mask, in the form that its shape says. With `dynamic` fewer keys than the problem has may
// be given: those behind are not there.
void read_key_mask(const OpContext& context, int input, bool dynamic, Spec& spec);

// What is added to the scores: [batch or 1, heads or 1, queries, keys].
void read_scores_bias(const OpContext& context, int input, bool dynamic, Spec& spec);

}  // namespace fastort::attention
