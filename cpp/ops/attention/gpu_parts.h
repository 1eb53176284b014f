#pragma once

#include "ops/attention/kernel.h"

// What attention on the GPU is put together from (gpu.cpp).
namespace fastort::attention {

// A tensor of heads that a shader reads.
struct Side {
  GpuOperand operand;
  kernels::HeadStrides strides;
  int64_t offset = 0;
};

// Q, K or V is used as the input has it, or with what is done to rows.
Side read_tokens(const Spec& spec, const Operand& from, const GpuTraits& traits, GpuWork& work);
Side make_queries(const Spec& spec, const GpuTraits& traits, GpuWork& work);
// K or V, joined with the past in the present where there is one.
Refusal join_past(const OpContext& context, const Spec& spec, const Operand& from, const Cache& cache, bool rotated,
                  Side& side, const GpuTraits& traits, GpuWork& work);

// What shaders/attention.comp makes of a head.
constexpr int64_t kMostValues = 256;

// 0 none, 1 added, 2 bytes of which 0 hides a key.
inline uint32_t mask_mode(const Spec& spec) { return spec.mask_input < 0 ? 0u : spec.problem.mask_is_bool ? 2u : 1u; }
// The number of `kPast` in shaders/common/past.glsl.
uint32_t past_mode(const Spec& spec);

// Without a tensor of scores.
Refusal add_fused(const Spec& spec, const Side& q, const Side& k, const Side& v, const GpuTraits& traits,
                  GpuWork& work);

}  // namespace fastort::attention
