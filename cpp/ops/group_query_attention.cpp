// com.microsoft's GroupQueryAttention: causal attention with a cache, in which several heads of Q share one of K and V.
#include <algorithm>
#include <string>

#include "ops/attention/contrib.h"

namespace fastort {
namespace {

using attention::differ;
using attention::Heads;
using attention::Past;
using attention::Spec;
using attention::token_heads;

enum Input {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kLengths,
  kTotal,
  kCos,
  kSin,
  kPositions,
  kScoresBias,
  kSink,
  kKeyScale,
  kValueScale,
  kQueryNorm,
  kKeyNorm
};
enum Output { kY, kPresentKey, kPresentValue, kScores };

struct Operands {
  Heads q, k, v;
};

template <class Context>
Operands read_operands(const Context& context) {
  const int64_t heads = context.attributes().get_int("num_heads");
  const int64_t kv_heads = context.attributes().get_int("kv_num_heads");
  if (heads <= 0 || heads > INT32_MAX || kv_heads <= 0 || heads % kv_heads != 0)
    context.fail("kv_num_heads (" + std::to_string(kv_heads) + ") must divide num_heads (" + std::to_string(heads) +
                 ")");
  const auto size_of = [&](int input, int64_t pieces) {
    const Shape& shape = context.shape(input);
    if (shape.rank() != 3) context.fail("query, key and value must have three dimensions");
    if (is_known(shape[2]) && shape[2] % pieces != 0)
      context.fail("input " + std::to_string(input) + " has " + std::to_string(shape[2]) + " items, which " +
                   std::to_string(pieces) + " heads do not divide");
    return is_known(shape[2]) ? shape[2] / pieces : shape[2];
  };
  const Shape& query = context.shape(kQuery);
  if (!context.has_input(kKey)) {
    const Dim size = size_of(kQuery, heads + 2 * kv_heads);
    const int64_t known = is_known(size) ? size : 0;
    const auto part = [&](int64_t count, int64_t before) {
      return token_heads(query[0], query[1], count, size, query[2], size, before * known);
    };
    return {part(heads, 0), part(kv_heads, heads), part(kv_heads, heads + kv_heads)};
  }
  const auto whole = [&](int input, int64_t count) {
    const Dim size = size_of(input, count);
    const Shape& shape = context.shape(input);
    return token_heads(shape[0], shape[1], count, size, shape[2], size, 0);
  };
  const Operands o = {whole(kQuery, heads), whole(kKey, kv_heads), whole(kValue, kv_heads)};
  if (differ(o.q.batch, o.k.batch) || differ(o.q.batch, o.v.batch)) context.fail("the batches of Q, K and V differ");
  if (differ(o.q.rows, o.k.rows) || differ(o.q.rows, o.v.rows)) context.fail("the lengths of Q, K and V differ");
  if (differ(o.q.size, o.k.size) || differ(o.q.size, o.v.size)) context.fail("the head sizes of Q, K and V differ");
  return o;
}

// ---- inference ---------------------------------------------------------------------------------------------------

void refuse_quantized(InferContext& context) {
  const Attributes& attributes = context.attributes();
  const std::string quantized =
      ": the cache must have the type of the query, without quantization; dequantize it in front of the node";
  for (const char* name : {"k_quant_type", "v_quant_type"}) {
    const std::string type = attributes.get_string(name, "NONE");
    if (type != "NONE") not_implemented("GroupQueryAttention with " + std::string(name) + " = " + type + quantized);
  }
  if (attributes.get_int("kv_cache_bit_width", 0) != 0 || context.has_input(kKeyScale) ||
      context.has_input(kValueScale))
    not_implemented("GroupQueryAttention with a quantized cache" + quantized);
  for (int i : {kPastKey, kPastValue})
    if (context.has_input(i) && context.type(i) != context.type(kQuery) && context.type(i) != DataType::Undefined)
      not_implemented("GroupQueryAttention with a cache of type " + std::string(name(context.type(i))) + quantized);
  if (attributes.get_int("sliding_window_cache", 0) != 0)
    not_implemented(
        "GroupQueryAttention with sliding_window_cache: give a cache for the whole sequence and "
        "local_window_size");
}

void check_inputs(InferContext& context) {
  for (int i : {kQuery, kLengths, kTotal})
    if (!context.has_input(i)) context.fail("query, seqlens_k and total_sequence_length are required");
  const auto together = [&](int a, int b, const char* what) {
    if (context.has_input(a) != context.has_input(b)) context.fail(std::string(what) + " go together");
  };
  together(kKey, kValue, "key and value");
  together(kPastKey, kPastValue, "past_key and past_value");
  together(kCos, kSin, "cos_cache and sin_cache");
  together(kQueryNorm, kKeyNorm, "q_norm_weight and k_norm_weight");
  const DataType type = context.type(kQuery);
  for (int i = 1; i < context.num_inputs(); ++i) {
    if (!context.has_input(i) || context.type(i) == DataType::Undefined) continue;
    DataType want = type;
    if (i == kLengths || i == kTotal) want = DataType::Int32;
    if (i == kPositions) want = DataType::Int64;
    if (context.type(i) != want)
      context.fail("input " + std::to_string(i) + " must be of type " + std::string(name(want)) + "; insert a Cast");
  }
  const Attributes& attributes = context.attributes();
  const bool causal = attributes.get_int("causal", 1) != 0;
  if (!causal && attributes.get_int("local_window_size", -1) != -1)
    context.fail("local_window_size must be -1 where causal is 0");
  const int64_t window = attributes.get_int("local_window_size", -1);
  if (window == 0 || window < -1) context.fail("local_window_size must be positive, or -1 for none");
  if (attributes.get_int("do_rotary", 0) != 0 && !context.has_input(kCos))
    context.fail("do_rotary needs cos_cache and sin_cache");
}

std::optional<int64_t> total_of(const Tensor* total) {
  if (!total || total->count() != 1) return std::nullopt;
  return scalar_as_int(*total);
}

void infer_group_query(InferContext& context) {
  refuse_quantized(context);
  check_inputs(context);
  const DataType type = context.type(kQuery);
  const int scores = static_cast<int>(context.attributes().get_int("qk_output", 0));
  if (scores < 0 || scores > 2) context.fail("qk_output must be 0, 1 or 2");
  if (context.num_outputs() > kScores && context.node.has_output(kScores) && scores == 0)
    context.fail("qk_output must be 1 or 2 where the scores are an output");
  bool known = context.has_shape(kQuery);
  for (int i : {kKey, kValue, kPastKey, kPastValue}) known = known && (!context.has_input(i) || context.has_shape(i));
  if (!known) {
    for (int i = 0; i < context.num_outputs(); ++i) context.out(i, type);
    return;
  }
  const Operands o = read_operands(context);
  Dim rows = context.unknown();
  const std::optional<int64_t> total = total_of(context.value(kTotal));
  if (total && *total < 0) context.fail("total_sequence_length is negative");
  if (total) rows = *total;
  if (context.has_input(kPastKey)) {
    const Shape &k = context.shape(kPastKey), &v = context.shape(kPastValue);
    if (k.rank() != 4 || v.rank() != 4 || differ(k[0], o.q.batch) || differ(v[0], o.q.batch) ||
        differ(k[1], o.k.heads) || differ(v[1], o.k.heads) || differ(k[2], v[2]) || differ(k[3], o.k.size) ||
        differ(v[3], o.k.size))
      context.fail("past_key and past_value must be [batch, kv_num_heads, rows, head size]");
    if (total) rows = context.symbols.max(k[2], *total);
  }
  const Dim hidden = is_known(o.q.size) ? o.q.heads * o.q.size : context.symbols.mul(o.q.heads, o.q.size);
  context.out(kY, type, {o.q.batch, o.q.rows, hidden});
  for (int i : {kPresentKey, kPresentValue})
    if (context.num_outputs() > i) context.out(i, type, {o.k.batch, o.k.heads, rows, o.k.size});
  if (context.num_outputs() > kScores)
    context.out(kScores, type, {o.q.batch, o.q.heads, o.q.rows, total ? *total : context.unknown()});
}

// ---- the kernel --------------------------------------------------------------------------------------------------

void read_rotary(const OpContext& context, Spec& spec) {
  if (context.attributes().get_int("do_rotary", 0) == 0) return;
  const Shape &cos = context.shape(kCos), &sin = context.shape(kSin);
  if (cos.rank() != 2 || cos != sin || 2 * cos[1] > spec.problem.size)
    context.fail("cos_cache and sin_cache must be [positions, half of the rotated items], at most half of a head of " +
                 std::to_string(spec.problem.size));
  spec.cos_input = kCos;
  spec.sin_input = kSin;
  spec.positions = cos[0];
  spec.rotated = 2 * cos[1];
  spec.interleaved = context.attributes().get_int("rotary_interleaved", 0) != 0;
  if (!context.has_input(kPositions)) return;
  if (context.shape(kPositions) != Shape{spec.problem.batch, spec.problem.queries})
    context.fail("position_ids must be [batch, tokens]");
  if (spec.problem.batch * spec.problem.queries == 0) return;
  spec.positions_input = kPositions;
  spec.first_position = spec.prompt;
}

void read_norm(const OpContext& context, Spec& spec) {
  if (!context.has_input(kQueryNorm)) return;
  for (int i : {kQueryNorm, kKeyNorm})
    if (context.shape(i) != Shape{spec.problem.size}) context.fail("the norm's weights must be [head size]");
  spec.q.norm_input = kQueryNorm;
  spec.k.norm_input = kKeyNorm;
  spec.norm_epsilon = static_cast<double>(context.attributes().get_float("qk_norm_epsilon", 1e-6f));
}

Spec read_spec(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const Operands o = read_operands(context);
  const std::optional<int64_t> total = total_of(context.constant(kTotal));
  if (!total) context.fail("total_sequence_length must be one number");
  const bool packed = !context.has_input(kKey);
  Spec spec;
  spec.type = context.type(kQuery);
  spec.q = {.input = kQuery, .heads = o.q};
  spec.k = {.input = packed ? kQuery : kKey, .heads = o.k};
  spec.v = {.input = packed ? kQuery : kValue, .heads = o.v};
  kernels::AttentionProblem& p = spec.problem;
  p.batch = o.q.batch;
  p.heads = o.q.heads;
  p.kv_heads = o.k.heads;
  p.queries = o.q.rows;
  p.keys = *total;
  p.size = p.value_size = o.q.size;
  p.y = {o.q.rows * o.q.heads * o.q.size, o.q.size, o.q.heads * o.q.size, 1};
  attention::read_scale(context, p);
  p.softcap = attributes.get_float("softcap", 0);
  p.causal = attributes.get_int("causal", 1) != 0;
  const int64_t window = attributes.get_int("local_window_size", -1);
  if (window > 0) p.left_window = window - 1;

  const Shape& lengths = context.shape(kLengths);
  if (lengths.count() != p.batch) context.fail("seqlens_k must have one number for each sequence");
  spec.past = Past::Totals;
  spec.past_input = kLengths;
  spec.prompt = p.queries == *total;
  if (!spec.prompt && p.queries > 1 && p.batch > 1)
    context.fail("several new tokens behind a past are computed for a batch of one only");
  if (context.has_input(kPastKey)) {
    spec.past_rows = context.shape(kPastKey)[2];
    spec.k_cache.past = kPastKey;
    spec.v_cache.past = kPastValue;
  }
  spec.present_rows = std::max(spec.past_rows, *total);
  spec.k_cache.present = kPresentKey;
  spec.v_cache.present = kPresentValue;
  read_rotary(context, spec);
  read_norm(context, spec);
  if (context.has_input(kScoresBias)) attention::read_scores_bias(context, kScoresBias, false, spec);
  if (context.has_input(kSink)) {
    if (context.shape(kSink) != Shape{p.heads}) context.fail("head_sink must have one number for each head");
    spec.sink_input = kSink;
  }
  p.has_sink = spec.sink_input >= 0 || attributes.get_int("smooth_softmax", -1) > 0;
  if (context.has_output(kScores)) {
    spec.qk_output = kScores;
    p.qk_output =
        attributes.get_int("qk_output", 0) == 1 ? kernels::QkOutput::Biased : kernels::QkOutput::Probabilities;
    p.unseen_scores_are_zero = true;
  }
  return spec;
}

std::unique_ptr<Kernel> prepare_group_query(const OpContext& context) {
  return make_attention(context, read_spec(context));
}

Refusal gpu_group_query(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return attention::gpu_attention(context, read_spec(context), traits, work);
}

constexpr GpuRecipe kGpu{kFloat32, gpu_group_query, /*takes_empty=*/true};

constexpr Candidate kCandidates[] = {{.name = "attention", .prepare = prepare_group_query}};

constexpr OpDef kOps[] = {
    {.domain = "com.microsoft",
     .name = "GroupQueryAttention",
     .infer = infer_group_query,
     .cpu = kCandidates,
     .types = TypeMask{DataType::Float, DataType::Float16, DataType::BFloat16},
     .value_inputs = 1u << kTotal,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> group_query_attention_ops() { return kOps; }

}  // namespace fastort
