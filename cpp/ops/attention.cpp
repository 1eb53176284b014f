// Attention of the standard, and the form that passes make of softmax(Q * K^T) * V.
#include <algorithm>
#include <cmath>
#include <string>

#include "ops/attention/kernel.h"

namespace fastort {
namespace {

using attention::dense;
using attention::differ;
using attention::Heads;
using attention::Part;
using kernels::AttentionProblem;
using kernels::QkOutput;

enum Input { kQ, kK, kV, kMask, kPastK, kPastV, kLengths };
enum Output { kY, kPresentK, kPresentV, kQk };

// A mask of any rank up to 4, broadcast to [batch, heads, queries, keys]. With `pad` its last dimension may be shorter
// than keys: what lies behind is masked then, and a single item is not broadcast.
void read_mask(const OpContext& context, bool pad, AttentionProblem& p) {
  const Shape& shape = context.shape(kMask);
  const bool repeats = context.attributes().get_int("mask_repeats", 0) != 0;
  p.mask_batches = std::max<int64_t>(1, p.batch);
  if (shape.rank() > 4) context.fail("the mask has more than four dimensions");
  const int64_t want[] = {p.batch, p.heads, p.queries, p.keys};
  int64_t* const strides[] = {&p.mask.batch, &p.mask.head, &p.mask.row, &p.mask.item};
  p.mask = {0, 0, 0, 0};
  p.has_mask = true;
  p.mask_is_bool = context.type(kMask) == DataType::Bool;
  p.mask_keys = p.keys;
  int64_t stride = 1;
  for (int d = 3, own = shape.rank() - 1; own >= 0; --d, --own) {
    const int64_t size = shape[static_cast<size_t>(own)];
    const bool short_keys = pad && d == 3 && size < p.keys;
    const bool repeated = repeats && d == 0 && size > 0 && want[0] % size == 0;
    if (repeated) p.mask_batches = size;
    if (size != want[d] && size != 1 && !short_keys && !repeated)
      context.fail("the mask " + to_string(shape) + " does not broadcast to [" + std::to_string(want[0]) + "," +
                   std::to_string(want[1]) + "," + std::to_string(want[2]) + "," + std::to_string(want[3]) + "]");
    if (size != 1 || short_keys) *strides[d] = stride;
    if (short_keys) p.mask_keys = size;
    stride *= size;
  }
}

template <class Context>
std::string layout_of(const Context& context, int input) {
  if (context.node.op_type == "Attention") return context.shape(input).rank() == 3 ? "BSHD" : "BHSD";
  static constexpr const char* kNames[] = {"q_layout", "k_layout", "v_layout"};
  return context.attributes().get_string(kNames[input], "BHSD");
}

template <class Context>
int64_t heads_of(const Context& context, int input) {
  const Attributes& attributes = context.attributes();
  const int64_t heads = attributes.get_int(context.node.op_type == "Attention" ? "q_num_heads" : "num_heads", 0);
  return input == kQ ? heads : attributes.get_int("kv_num_heads", heads);
}

template <class Context>
Heads heads_at(const Context& context, int input) {
  Part part;
  if (context.node.op_type == "FusedAttention") {
    static constexpr const char* kParts[] = {"q_parts", "k_parts", "v_parts"};
    static constexpr const char* kPart[] = {"q_part", "k_part", "v_part"};
    part = {context.attributes().get_int(kParts[input], 1), context.attributes().get_int(kPart[input], 0)};
  }
  return attention::read_heads(context, input, layout_of(context, input), heads_of(context, input), part);
}

// ---- inference ---------------------------------------------------------------------------------------------------

void check_types(InferContext& context) {
  const DataType type = context.type(kQ);
  const int count = std::min<int>(context.num_inputs(), kLengths);
  for (int i = 1; i < count; ++i) {
    if (!context.has_input(i) || context.type(i) == type || context.type(i) == DataType::Undefined) continue;
    if (i == kMask && context.type(i) == DataType::Bool) continue;
    context.fail("input " + std::to_string(i) + " must be of type " + std::string(name(type)) + "; insert a Cast");
  }
  if (context.has_input(kLengths) && context.type(kLengths) != DataType::Int64)
    context.fail("nonpad_kv_seqlen must be of type int64");
}

void check_heads(InferContext& context, const Heads& q, const Heads& k, const Heads& v) {
  if (differ(q.batch, k.batch) || differ(q.batch, v.batch)) context.fail("the batches of Q, K and V differ");
  if (differ(q.size, k.size)) context.fail("the head sizes of Q and K differ");
  if (differ(k.rows, v.rows)) context.fail("K and V have different lengths");
  if (differ(k.heads, v.heads)) context.fail("K and V have different numbers of heads");
  if (is_known(q.heads) && is_known(k.heads) && (k.heads == 0 ? q.heads != 0 : q.heads % k.heads != 0))
    context.fail("the heads of K do not divide the heads of Q");
}

bool has_all_shapes(const InferContext& context) {
  const bool past = !context.has_input(kPastK) || (context.has_shape(kPastK) && context.has_shape(kPastV));
  return past && context.has_shape(kQ) && context.has_shape(kK) && context.has_shape(kV);
}

Shape output_shape(const InferContext& context, const Heads& q, const Heads& v, bool rows_first, bool merged) {
  if (!rows_first) return {q.batch, q.heads, q.rows, v.size};
  if (!merged) return {q.batch, q.rows, q.heads, v.size};
  return {q.batch, q.rows, context.symbols.mul(q.heads, v.size)};
}

// Of the past and the new ones.
Dim all_rows(const InferContext& context, const Heads& k, const Heads& v) {
  if (!context.has_input(kPastK)) return k.rows;
  const Shape &past_k = context.shape(kPastK), &past_v = context.shape(kPastV);
  if (past_k.rank() != 4 || past_v.rank() != 4 || differ(past_k[0], k.batch) || differ(past_k[1], k.heads) ||
      differ(past_k[3], k.size) || differ(past_v[0], v.batch) || differ(past_v[1], v.heads) ||
      differ(past_v[3], v.size) || differ(past_k[2], past_v[2]))
    context.fail("past_key and past_value must be [batch, heads of K, past length, head size]");
  return context.symbols.add(past_k[2], k.rows);
}

void infer_attention(InferContext& context) {
  if (!context.has_input(kQ) || !context.has_input(kK) || !context.has_input(kV))
    context.fail("Q, K and V are required");
  check_types(context);
  if (context.has_input(kPastK) != context.has_input(kPastV)) context.fail("past_key and past_value go together");
  const DataType type = context.type(kQ);
  const int outputs = context.num_outputs();
  if (!has_all_shapes(context)) {
    for (int i = 0; i < outputs; ++i) context.out(i, type);
    return;
  }
  const Heads q = heads_at(context, kQ), k = heads_at(context, kK), v = heads_at(context, kV);
  check_heads(context, q, k, v);
  const Dim keys = all_rows(context, k, v);
  if (context.has_shape(kLengths) &&
      (context.shape(kLengths).rank() != 1 || differ(context.shape(kLengths)[0], q.batch)))
    context.fail("nonpad_kv_seqlen must have one length for each batch item");
  context.out(kY, type, output_shape(context, q, v, context.shape(kQ).rank() == 3, true));
  if (outputs > kPresentK) context.out(kPresentK, type, {k.batch, k.heads, keys, k.size});
  if (outputs > kPresentV) context.out(kPresentV, type, {v.batch, v.heads, keys, v.size});
  if (outputs > kQk) context.out(kQk, type, {q.batch, q.heads, q.rows, keys});
}

void infer_fused(InferContext& context) {
  if (!context.has_input(kQ) || !context.has_input(kK) || !context.has_input(kV))
    context.fail("Q, K and V are required");
  check_types(context);
  if (context.has_input(kPastK) != context.has_input(kPastV)) context.fail("past_key and past_value go together");
  if (!has_all_shapes(context)) {
    for (int i = 0; i < context.num_outputs(); ++i) context.out(i, context.type(kQ));
    return;
  }
  const Heads q = heads_at(context, kQ), k = heads_at(context, kK), v = heads_at(context, kV);
  check_heads(context, q, k, v);
  const std::string layout = context.attributes().get_string("output_layout", "BSHD");
  if (layout != "BSHD" && layout != "BHSD" && layout != "SBHD") not_implemented("the output layout '" + layout + "'");
  Shape shape = output_shape(context, q, v, layout != "BHSD", true);
  if (layout == "SBHD") std::swap(shape[0], shape[1]);
  context.out(kY, context.type(kQ), std::move(shape));
  if (context.num_outputs() <= kPresentK) return;
  const Dim rows = all_rows(context, k, v);
  context.out(kPresentK, context.type(kQ), {k.batch, k.heads, rows, k.size});
  context.out(kPresentV, context.type(kQ), {v.batch, v.heads, rows, v.size});
}

// ---- kernels -----------------------------------------------------------------------------------------------------

QkOutput read_qk_mode(const OpContext& context) {
  switch (context.attributes().get_int("qk_matmul_output_mode", 0)) {
    case 0:
      return QkOutput::Raw;
    case 1:
      return QkOutput::Capped;
    case 2:
      return QkOutput::Biased;
    case 3:
      return QkOutput::Probabilities;
    default:
      context.fail("qk_matmul_output_mode must be 0, 1, 2 or 3");
  }
}

attention::Spec read_spec(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  const bool standard = context.node.op_type == "Attention";
  attention::Spec spec;
  spec.type = context.type(kQ);
  const Heads q = heads_at(context, kQ), k = heads_at(context, kK), v = heads_at(context, kV);
  spec.q = {.input = kQ, .heads = q};
  spec.k = {.input = kK, .heads = k};
  spec.v = {.input = kV, .heads = v};
  if (context.has_input(kPastK)) {
    spec.past_rows = context.shape(kPastK)[2];
    spec.k_cache.past = kPastK;
    spec.v_cache.past = kPastV;
  }
  spec.k_cache.present = kPresentK;
  spec.v_cache.present = kPresentV;
  AttentionProblem& p = spec.problem;
  p.batch = q.batch;
  p.heads = q.heads;
  p.kv_heads = k.heads;
  p.queries = q.rows;
  p.keys = spec.present_rows = spec.past_rows + k.rows;
  p.size = q.size;
  p.value_size = v.size;
  const std::string layout =
      standard ? (context.shape(kQ).rank() == 3 ? "BSHD" : "BHSD") : attributes.get_string("output_layout", "BSHD");
  const int64_t token = q.heads * v.size;
  if (layout == "BSHD") p.y = {q.rows * token, v.size, token, 1};
  if (layout == "SBHD") p.y = {token, v.size, q.batch * token, 1};
  if (layout == "BHSD") p.y = dense(q.heads, q.rows, v.size);
  p.scale = attributes.has("scale") ? static_cast<double>(attributes.get_float("scale", 1))
                                    : 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, q.size)));
  p.softcap = attributes.get_float("softcap", 0);
  p.causal = attributes.get_int("is_causal", 0) != 0;
  p.left_window = attributes.get_int("left_window_size", -1);
  p.right_window = attributes.get_int("right_window_size", -1);
  if (context.has_input(kLengths)) {
    spec.lengths_input = kLengths;
    spec.shift_by_lengths = !context.has_input(kPastK);
  }
  p.masked_rows_are_zero = standard;
  if (context.has_input(kMask)) {
    spec.mask_input = kMask;
    read_mask(context, standard, p);
  }
  if (context.has_output(kQk)) {
    spec.qk_output = kQk;
    p.qk_output = read_qk_mode(context);
  }
  return spec;
}

std::unique_ptr<Kernel> prepare_attention(const OpContext& context) {
  return make_attention(context, read_spec(context));
}

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return gpu_attention(context, read_spec(context), traits, work);
}

constexpr GpuRecipe kGpu{kFloat32, gpu_work, /*takes_empty=*/true};

constexpr Candidate kCandidates[] = {{.name = "attention", .prepare = prepare_attention}};

constexpr OpDef kOps[] = {
    {.domain = "",
     .name = "Attention",
     .infer = infer_attention,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "fastort",
     .name = "FusedAttention",
     .infer = infer_fused,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> attention_ops() { return kOps; }

}  // namespace fastort
