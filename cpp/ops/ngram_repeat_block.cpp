// com.microsoft's NGramRepeatBlock: tokens that would repeat a run of n tokens get the score -inf.
#include <algorithm>
#include <limits>
#include <string>

#include "ops/op.h"

namespace fastort {
namespace {

void infer_ngram(InferContext& context) {
  if (!context.has_input(0) || !context.has_input(1)) context.fail("input_ids and scores are required");
  if (context.type(0) != DataType::Int64) context.fail("input_ids must be of type int64; insert a Cast");
  if (context.type(1) != DataType::Float) context.fail("scores must be of type float; insert a Cast");
  if (context.attributes().get_int("ngram_size") <= 0) context.fail("ngram_size must be positive");
  for (int i = 0; i < 2; ++i)
    if (context.has_shape(i) && context.shape(i).rank() != 2) context.fail("input_ids and scores must be matrices");
  if (context.has_shape(0) && context.has_shape(1)) {
    const Dim a = context.shape(0)[0], b = context.shape(1)[0];
    if (is_known(a) && is_known(b) && a != b) context.fail("input_ids and scores have different batches");
  }
  context.outputs[0] = context.in(1);
}

void block_row(const int64_t* tokens, int64_t count, int64_t n, int64_t words, float* scores) {
  // The last n - 1 tokens would be the beginning of the next run.
  const int64_t* const next = tokens + count - (n - 1);
  for (int64_t at = 0; at + n <= count; ++at) {
    if (!std::equal(tokens + at, tokens + at + n - 1, next)) continue;
    const int64_t word = tokens[at + n - 1];
    if (word < 0 || word >= words)
      invalid_argument("NGramRepeatBlock: the token " + std::to_string(word) + " is none of " + std::to_string(words));
    scores[word] = -std::numeric_limits<float>::infinity();
  }
}

std::unique_ptr<Kernel> prepare_ngram(const OpContext& context) {
  const Shape &ids = context.shape(0), &scores = context.shape(1);
  const int64_t n = context.attributes().get_int("ngram_size");
  return make_kernel([batch = ids[0], count = ids[1], words = scores[1], n](const KernelArgs& args) {
    const float* const src = args.in<float>(1);
    float* const dst = args.out<float>(0);
    if (dst != src) std::copy(src, src + batch * words, dst);
    if (n > count) return;
    args.parallel.range(batch, 1 + 16384 / count, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        block_row(args.in<int64_t>(0) + b * count, count, n, words, dst + b * words);
    });
  });
}

constexpr Candidate kCandidates[] = {{.name = "ngram", .prepare = prepare_ngram}};

constexpr OpDef kOps[] = {
    {.domain = "com.microsoft",
     .name = "NGramRepeatBlock",
     .infer = infer_ngram,
     .cpu = kCandidates,
     .types = TypeMask{DataType::Int64}},
};

}  // namespace

std::span<const OpDef> ngram_repeat_block_ops() { return kOps; }

}  // namespace fastort
