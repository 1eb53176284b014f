#include "ops/attention/contrib.h"

#include <algorithm>
#include <cmath>

namespace fastort::attention {

void read_scale(const OpContext& context, kernels::AttentionProblem& problem) {
  const float scale = context.attributes().get_float("scale", 0);
  problem.scale =
      scale != 0 ? static_cast<double>(scale) : 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, problem.size)));
}

void read_key_mask(const OpContext& context, int input, bool dynamic, Spec& spec) {
  const Shape& shape = context.shape(input);
  const int64_t batch = spec.problem.batch, queries = spec.problem.queries, keys = spec.problem.keys;
  const auto fits = [&](int64_t size) { return size == keys || (dynamic && size <= keys); };
  spec.key_mask_input = input;
  spec.key_mask_size = shape.rank() > 0 ? shape.back() : 0;
  spec.mask_filter = context.attributes().get_float("mask_filter_value", -10000);
  if (shape.rank() == 1 && (shape[0] == batch || shape[0] == 3 * batch + 2)) {
    spec.key_mask = KeyMask::Ends;
  } else if (shape.rank() == 1 && shape[0] == 2 * batch) {
    spec.key_mask = KeyMask::Spans;
  } else if (shape.rank() == 2 && shape[0] == batch && fits(shape[1])) {
    spec.key_mask = KeyMask::Keys;
  } else if (shape.rank() == 3 && shape[0] == batch && shape[1] == queries && fits(shape[2])) {
    spec.key_mask = KeyMask::Pairs;
  } else if (shape.rank() == 4 && shape[0] == batch && shape[1] == 1 && shape[2] == shape[3] && shape[3] >= keys) {
    spec.key_mask = KeyMask::Square;
  } else {
    context.fail("the mask " + to_string(shape) + " is none of " + std::to_string(batch) + " sequences of " +
                 std::to_string(queries) + " queries and " + std::to_string(keys) + " keys");
  }
}

void read_scores_bias(const OpContext& context, int input, bool dynamic, Spec& spec) {
  const Shape& shape = context.shape(input);
  kernels::AttentionProblem& p = spec.problem;
  const bool fits = shape.rank() == 4 && (shape[0] == p.batch || shape[0] == 1) &&
                    (shape[1] == p.heads || shape[1] == 1) && shape[2] == p.queries &&
                    (shape[3] == p.keys || (dynamic && shape[3] <= p.keys));
  if (!fits)
    context.fail("attention_bias must be [" + std::to_string(p.batch) + " or 1," + std::to_string(p.heads) + " or 1," +
                 std::to_string(p.queries) + "," + std::to_string(p.keys) + "], got " + to_string(shape));
  spec.mask_input = input;
  p.has_mask = true;
  p.mask_batches = std::max<int64_t>(1, p.batch);
  p.mask_keys = std::min(p.mask_keys, shape[3]);
  p.mask = {shape[0] == 1 ? 0 : shape[1] * shape[2] * shape[3], shape[1] == 1 ? 0 : shape[2] * shape[3], shape[3], 1};
}

}  // namespace fastort::attention
