// com.microsoft's attention of many heads with one head of K and V for each: MultiHeadAttention, its form for a
// decoder, and what is left of Attention behind the projection (ProjectedAttention).
#include <algorithm>
#include <cmath>
#include <string>

#include "ops/attention/contrib.h"

namespace fastort {
namespace {

using attention::dense_heads;
using attention::differ;
using attention::Heads;
using attention::KeyMask;
using attention::Past;
using attention::Spec;
using attention::token_heads;

// Where the operators have their inputs and attributes.
struct Inputs {
  int query = 0, key = -1, value = -1, bias = -1, mask = -1, scores_bias = -1, past_key = -1, past_value = -1;
  int past_length = -1, beam_width = -1, indirection = -1;
  int present_key = 1, present_value = 2, scores = 3;
  bool both_pasts = false;  // past and present hold K and V in one tensor
};

constexpr Inputs kMultiHead = {.key = 1,
                               .value = 2,
                               .bias = 3,
                               .mask = 4,
                               .scores_bias = 5,
                               .past_key = 6,
                               .past_value = 7,
                               .past_length = 8,
                               .indirection = 9};
constexpr Inputs kDecoder = {.key = 1,
                             .value = 2,
                             .bias = 10,
                             .mask = 3,
                             .scores_bias = 4,
                             .past_key = 5,
                             .past_value = 6,
                             .past_length = 7,
                             .beam_width = 8,
                             .indirection = 9};
constexpr Inputs kProjected = {.mask = 1,
                               .scores_bias = 3,
                               .past_key = 2,
                               .past_value = 2,
                               .past_length = 4,
                               .present_value = 1,
                               .scores = -1,
                               .both_pasts = true};

template <class Context>
const Inputs& inputs_of(const Context& context) {
  const std::string& op = context.node.op_type;
  return op == "MultiHeadAttention" ? kMultiHead : op == "ProjectedAttention" ? kProjected : kDecoder;
}

template <class Context>
bool has(const Context& context, int input) {
  return input >= 0 && context.has_input(input);
}

template <class Context>
bool shares_buffer(const Context& context, const Inputs& in) {
  if (context.node.op_type == "MultiHeadAttention") return has(context, in.past_length);
  return context.attributes().get_int("past_present_share_buffer", 0) != 0;
}

// Q, K and V with the places of their parts of the bias.
struct Operands {
  attention::Operand q, k, v;
  Dim hidden = 0;  // of Q
};

template <class Context>
Dim divided(const Context& context, Dim size, int64_t by, const char* what) {
  if (!is_known(size)) return size;
  if (by <= 0 || size % by != 0)
    context.fail(std::string(what) + " has " + std::to_string(size) + " items, which " + std::to_string(by) +
                 " heads do not divide");
  return size / by;
}

// Tokens [batch, rows, items] with Q, K and V side by side.
template <class Context>
Operands packed_tokens(const Context& context, const Inputs& in, int64_t heads) {
  const Shape& shape = context.shape(in.query);
  const std::vector<int64_t> sizes = context.attributes().get_ints("qkv_hidden_sizes");
  const Dim token = shape[2];
  Dim qk = token, v = token;
  if (!sizes.empty()) {
    if (sizes.size() != 3 || sizes[0] != sizes[1] || sizes[0] <= 0 || sizes[2] <= 0)
      context.fail("qkv_hidden_sizes must be three sizes, of which the first two are equal");
    if (is_known(token) && token != sizes[0] + sizes[1] + sizes[2])
      context.fail("the projection has " + std::to_string(token) + " columns, which qkv_hidden_sizes do not give");
    qk = sizes[0];
    v = sizes[2];
  } else if (is_known(token)) {
    if (token % 3 != 0) context.fail("Q, K and V do not divide " + std::to_string(token) + " columns");
    qk = v = token / 3;
  }
  const Dim size = divided(context, qk, heads, "Q"), value_size = divided(context, v, heads, "V");
  Operands o;
  const auto part = [&](Dim item, int64_t at) {
    return token_heads(shape[0], shape[1], heads, item, token, item, is_known(qk) ? at : 0);
  };
  o.q.heads = part(size, 0);
  o.k.heads = part(size, qk);
  o.v.heads = part(value_size, 2 * qk);
  o.hidden = qk;
  return o;
}

template <class Context>
Heads tokens(const Context& context, int input, int64_t heads, const char* what) {
  const Shape& shape = context.shape(input);
  if (shape.rank() != 3) context.fail(std::string(what) + " must have three dimensions, not " + to_string(shape));
  const Dim size = divided(context, shape[2], heads, what);
  return token_heads(shape[0], shape[1], heads, size, shape[2], size, 0);
}

// Tokens [batch, rows, heads, parts, size].
template <class Context>
Heads part_of_head(const Context& context, int input, int64_t heads, int64_t parts, int64_t index, const char* what) {
  const Shape& shape = context.shape(input);
  if (shape.rank() != 5 || differ(shape[2], heads) || differ(shape[3], parts))
    context.fail(std::string(what) + " must be [batch, tokens, " + std::to_string(heads) + ", " +
                 std::to_string(parts) + ", head size]");
  const Dim size = shape[4];
  return token_heads(shape[0], shape[1], heads, size, heads * parts * size, parts * size, index * size);
}

template <class Context>
Operands read_operands(const Context& context, const Inputs& in) {
  const int64_t heads = context.attributes().get_int("num_heads");
  if (heads <= 0 || heads > INT32_MAX) context.fail("num_heads is " + std::to_string(heads));
  const bool has_key = has(context, in.key), has_value = has(context, in.value);
  Operands o;
  bool only_q_bias = false;
  const int query_rank = context.shape(in.query).rank();
  if (!has_key) {
    if (has_value) context.fail("a value without a key");
    if (query_rank == 5) {
      o.q.heads = part_of_head(context, in.query, heads, 3, 0, "the query with K and V");
      o.k.heads = part_of_head(context, in.query, heads, 3, 1, "the query with K and V");
      o.v.heads = part_of_head(context, in.query, heads, 3, 2, "the query with K and V");
    } else if (query_rank == 3) {
      o = packed_tokens(context, in, heads);
    } else {
      context.fail("the query must have three or five dimensions");
    }
    o.q.input = o.k.input = o.v.input = in.query;
  } else {
    o.q.heads = tokens(context, in.query, heads, "the query");
    o.q.input = in.query;
    o.k.input = in.key;
    const Shape& key = context.shape(in.key);
    if (!has_value) {
      o.k.heads = part_of_head(context, in.key, heads, 2, 0, "the key with V");
      o.v.heads = part_of_head(context, in.key, heads, 2, 1, "the key with V");
      o.v.input = in.key;
    } else {
      o.v.input = in.value;
      if (key.rank() != context.shape(in.value).rank()) context.fail("key and value have different ranks");
      only_q_bias = key.rank() == 4;
      o.k.heads = only_q_bias ? dense_heads(key) : tokens(context, in.key, heads, "the key");
      o.v.heads = only_q_bias ? dense_heads(context.shape(in.value)) : tokens(context, in.value, heads, "the value");
    }
  }
  const Heads &q = o.q.heads, &k = o.k.heads, &v = o.v.heads;
  if (differ(q.batch, k.batch) || differ(q.batch, v.batch)) context.fail("the batches of Q, K and V differ");
  if (differ(k.heads, heads) || differ(v.heads, heads))
    context.fail("K and V must have " + std::to_string(heads) + " heads");
  if (differ(q.size, k.size)) context.fail("the head sizes of Q and K differ");
  if (differ(k.rows, v.rows)) context.fail("K and V have different lengths");
  o.hidden = q.size;
  if (is_known(q.size)) o.hidden = heads * q.size;
  if (has(context, in.bias)) {
    const Shape& bias = context.shape(in.bias);
    const bool known = is_known(q.size) && is_known(v.size);
    if (bias.rank() != 1 || (known && differ(bias[0], heads * (2 * q.size + v.size))))
      context.fail("the bias must have the items of Q, K and V, got " + to_string(bias));
    o.q.bias_at = 0;
    if (!only_q_bias) {
      o.k.bias_at = o.hidden;
      o.v.bias_at = 2 * o.hidden;
    }
  }
  return o;
}

// ---- inference ---------------------------------------------------------------------------------------------------

void refuse_extras(InferContext& context, const Inputs& in) {
  const Attributes& attributes = context.attributes();
  if (attributes.get_int("do_rotary", 0) != 0)
    not_implemented(
        "Attention with do_rotary, whose base is not documented: rotate Q and K by RotaryEmbedding and use "
        "MultiHeadAttention");
  if (has(context, in.indirection))
    not_implemented(context.node.op_type + " with cache_indirection: reorder the cache between the steps instead");
  if (has(context, in.beam_width) &&
      (!context.value(in.beam_width) || scalar_as_int(*context.value(in.beam_width)) != 1))
    not_implemented(context.node.op_type + " with a beam_width other than the constant 1");
}

void check_types(InferContext& context, const Inputs& in) {
  const DataType type = context.type(in.query);
  for (int i = 1; i < context.num_inputs(); ++i) {
    if (!context.has_input(i) || context.type(i) == DataType::Undefined) continue;
    const bool index = i == in.mask || i == in.past_length || i == in.beam_width || i == in.indirection;
    const DataType want = index ? DataType::Int32 : type;
    if (context.type(i) != want)
      context.fail("input " + std::to_string(i) + " must be of type " + std::string(name(want)) + "; insert a Cast");
  }
}

bool shapes_known(const InferContext& context, const Inputs& in) {
  for (int i : {in.query, in.key, in.value, in.bias, in.past_key, in.past_value})
    if (has(context, i) && !context.has_shape(i)) return false;
  return context.has_shape(in.query);
}

// The dimensions of a past of K or V behind those that one tensor for both has in front.
Shape past_shape(const InferContext& context, const Inputs& in, int input) {
  Shape shape = context.shape(input);
  if (!in.both_pasts) return shape;
  if (shape.rank() != 5 || differ(shape[0], 2))
    context.fail("the past must be [2, batch, heads, rows, head size], got " + to_string(shape));
  return {shape[1], shape[2], shape[3], shape[4]};
}

void infer_multi_head(InferContext& context) {
  const Inputs& in = inputs_of(context);
  if (!context.has_input(in.query)) context.fail("the query is required");
  refuse_extras(context, in);
  check_types(context, in);
  const DataType type = context.type(in.query);
  if (has(context, in.past_key) != has(context, in.past_value)) context.fail("past_key and past_value go together");
  const bool shared = shares_buffer(context, in);
  if (shared && !has(context, in.past_length))
    context.fail("past_sequence_length is required where past and present share a buffer");
  if (shared && !has(context, in.past_key)) context.fail("a past is required where past and present share a buffer");
  if (shared && in.scores >= 0 && context.node.has_output(in.scores))
    not_implemented(context.node.op_type + " with scores as an output where past and present share a buffer");
  if (!shapes_known(context, in)) {
    for (int i = 0; i < context.num_outputs(); ++i) context.out(i, type);
    return;
  }
  const Operands o = read_operands(context, in);
  const Heads &q = o.q.heads, &k = o.k.heads, &v = o.v.heads;
  Dim rows = k.rows, total = k.rows;
  if (has(context, in.past_key)) {
    const Shape past_k = past_shape(context, in, in.past_key), past_v = past_shape(context, in, in.past_value);
    if (past_k.rank() != 4 || past_v.rank() != 4 || differ(past_k[0], q.batch) || differ(past_v[0], q.batch) ||
        differ(past_k[1], q.heads) || differ(past_v[1], q.heads) || differ(past_k[3], k.size) ||
        differ(past_v[3], v.size) || differ(past_k[2], past_v[2]))
      context.fail("the past of K and V must be [batch, heads, rows, head size]");
    rows = shared ? past_k[2] : context.symbols.add(past_k[2], k.rows);
    total = rows;
  }
  context.out(0, type, {q.batch, q.rows, is_known(v.size) ? q.heads * v.size : context.symbols.mul(q.heads, v.size)});
  if (in.both_pasts) {
    if (context.num_outputs() > 1 && differ(k.size, v.size))
      context.fail("K and V must have one head size where they are kept in one tensor");
    if (context.num_outputs() > 1) context.out(1, type, {2, q.batch, q.heads, rows, k.size});
    return;
  }
  if (context.num_outputs() > in.present_key) context.out(in.present_key, type, {q.batch, q.heads, rows, k.size});
  if (context.num_outputs() > in.present_value) context.out(in.present_value, type, {q.batch, q.heads, rows, v.size});
  if (context.num_outputs() > in.scores) context.out(in.scores, type, {q.batch, q.heads, q.rows, total});
}

// ---- the kernel --------------------------------------------------------------------------------------------------

Spec read_spec(const OpContext& context) {
  const Inputs& in = inputs_of(context);
  const Attributes& attributes = context.attributes();
  const Operands o = read_operands(context, in);
  const Heads &q = o.q.heads, &k = o.k.heads, &v = o.v.heads;
  Spec spec;
  spec.type = context.type(in.query);
  spec.q = o.q;
  spec.k = o.k;
  spec.v = o.v;
  if (has(context, in.bias)) spec.bias_input = in.bias;
  const bool shared = shares_buffer(context, in);
  if (has(context, in.past_key)) {
    spec.past_rows = context.shape(in.past_key)[in.both_pasts ? 3 : 2];
    spec.k_cache.past = in.past_key;
    spec.v_cache.past = in.past_value;
    if (shared) {
      if (context.shape(in.past_length).count() != 1) context.fail("past_sequence_length must be one number");
      spec.past = Past::Scalar;
      spec.past_input = in.past_length;
    }
  }
  kernels::AttentionProblem& p = spec.problem;
  p.batch = q.batch;
  p.heads = p.kv_heads = q.heads;
  p.queries = q.rows;
  p.keys = spec.present_rows = shared ? spec.past_rows : spec.past_rows + k.rows;
  p.size = q.size;
  p.value_size = v.size;
  spec.k_cache.present = in.present_key;
  spec.v_cache.present = in.present_value;
  if (in.both_pasts) {
    spec.v_cache.past_at = p.batch * p.heads * spec.past_rows * k.size;
    spec.v_cache.present_at = p.batch * p.heads * spec.present_rows * k.size;
  }
  const int64_t token = q.heads * v.size;
  p.y = {q.rows * token, v.size, token, 1};
  attention::read_scale(context, p);
  // A single query sees all keys, wherever it stands.
  p.causal = attributes.get_int("unidirectional", 0) != 0 && q.rows > 1;
  if (has(context, in.mask)) attention::read_key_mask(context, in.mask, shared, spec);
  if (has(context, in.scores_bias)) attention::read_scores_bias(context, in.scores_bias, shared, spec);
  if (in.scores >= 0 && context.has_output(in.scores)) {
    spec.qk_output = in.scores;
    p.qk_output = kernels::QkOutput::Biased;
  }
  return spec;
}

std::unique_ptr<Kernel> prepare_multi_head(const OpContext& context) {
  return make_attention(context, read_spec(context));
}

Refusal gpu_multi_head(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return attention::gpu_attention(context, read_spec(context), traits, work);
}

constexpr GpuRecipe kGpu{kFloat32, gpu_multi_head, /*takes_empty=*/true};

constexpr Candidate kCandidates[] = {{.name = "attention", .prepare = prepare_multi_head}};
constexpr TypeMask kTypes{DataType::Float, DataType::Float16, DataType::BFloat16};

constexpr OpDef kOps[] = {
    {.domain = "com.microsoft",
     .name = "MultiHeadAttention",
     .infer = infer_multi_head,
     .cpu = kCandidates,
     .types = kTypes,
     .gpu = &kGpu},
    {.domain = "com.microsoft",
     .name = "DecoderMaskedMultiHeadAttention",
     .infer = infer_multi_head,
     .cpu = kCandidates,
     .types = kTypes,
     .value_inputs = 1u << 8,
     .gpu = &kGpu},
    {.domain = "fastort",
     .name = "ProjectedAttention",
     .infer = infer_multi_head,
     .cpu = kCandidates,
     .types = kTypes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> multi_head_attention_ops() { return kOps; }

}  // namespace fastort
