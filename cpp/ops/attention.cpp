#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>

#include "kernels/elementwise/half.h"
#include "ops/op.h"

namespace fastort {

namespace {

using kernels::AttentionProblem;
using kernels::AttentionTensors;
using kernels::HeadStrides;
using kernels::QkOutput;

enum Input { kQ, kK, kV, kMask, kPastK, kPastV, kLengths, kInputs };
enum Output { kY, kPresentK, kPresentV, kQk, kOutputs };

// ---- how tensors of heads lie ------------------------------------------------------------------------------------

// [batch, heads, rows, size] in any of the layouts: "BHSD", "BSHD" and "SBHD" (also with the last two dimensions as
// one), and "BHDS" for transposed keys. A tensor of three dimensions may hold several parts side by side in its last
// one (Q, K and V of one product).
struct Heads {
  Dim batch = 0, heads = 0, rows = 0, size = 0;
  HeadStrides strides;  // of concrete sizes
  int64_t offset = 0;   // of the part
};

struct Part {
  int64_t parts = 1, index = 0;
};

template <class Context>
Heads read_heads(const Context& context, int input, const std::string& layout, int64_t heads, Part part = {}) {
  const Shape& shape = context.shape(input);
  const auto fail = [&](const std::string& what) { context.fail("input " + std::to_string(input) + " " + what); };
  Heads h;
  const bool tokens_first = layout == "BSHD" || layout == "SBHD";
  const size_t batch_axis = layout == "SBHD" ? 1 : 0, row_axis = 1 - batch_axis;
  h.batch = shape.rank() > 1 ? shape[batch_axis] : 0;
  if (part.parts < 1 || part.index < 0 || part.index >= part.parts || (part.parts > 1 && shape.rank() != 3))
    fail("cannot be part " + std::to_string(part.index) + " of " + std::to_string(part.parts));
  if (tokens_first && shape.rank() == 3) {
    if (heads <= 0 || heads > INT64_MAX / part.parts) fail("has three dimensions: the number of heads must be given");
    const int64_t pieces = heads * part.parts;
    if (is_known(shape[2]) && shape[2] % pieces != 0)
      fail("has " + std::to_string(shape[2]) + " items, which " + std::to_string(pieces) + " heads do not divide");
    h.rows = shape[row_axis];
    h.heads = heads;
    h.size = is_known(shape[2]) ? shape[2] / pieces : shape[2];
  } else if (shape.rank() != 4) {
    fail("must have " + std::string(tokens_first ? "three or four" : "four") + " dimensions, not " +
         std::to_string(shape.rank()));
  } else if (tokens_first) {
    h.rows = shape[row_axis];
    h.heads = shape[2];
    h.size = shape[3];
  } else if (layout == "BHSD" || layout == "BHDS") {
    h.heads = shape[1];
    h.rows = shape[layout == "BHSD" ? 2 : 3];
    h.size = shape[layout == "BHSD" ? 3 : 2];
  } else {
    not_implemented("the layout '" + layout + "' of heads");
  }
  h.strides.batch = h.heads * h.rows * h.size;
  if (tokens_first) {
    const int64_t row = h.heads * h.size * part.parts;
    h.strides.row = layout == "BSHD" ? row : row * h.batch;
    h.strides.batch = layout == "BSHD" ? row * h.rows : row;
    h.strides.head = h.size;
    h.offset = part.index * h.heads * h.size;
  } else {
    h.strides.head = h.rows * h.size;
    h.strides.row = layout == "BHSD" ? h.size : 1;
    h.strides.item = layout == "BHSD" ? 1 : h.rows;
  }
  return h;
}

HeadStrides dense(int64_t heads, int64_t rows, int64_t size) { return {heads * rows * size, rows * size, size, 1}; }

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

bool is_half(DataType type) { return type == DataType::Float16 || type == DataType::BFloat16; }

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
  return read_heads(context, input, layout_of(context, input), heads_of(context, input), part);
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

bool differ(Dim a, Dim b) { return is_known(a) && is_known(b) && a != b; }

void check_heads(InferContext& context, const Heads& q, const Heads& k, const Heads& v) {
  if (differ(q.batch, k.batch) || differ(q.batch, v.batch)) context.fail("the batches of Q, K and V differ");
  if (differ(q.size, k.size)) context.fail("the head sizes of Q and K differ");
  if (differ(k.rows, v.rows)) context.fail("K and V have different lengths");
  if (differ(k.heads, v.heads)) context.fail("K and V have different numbers of heads");
  if (is_known(q.heads) && is_known(k.heads) && (k.heads == 0 ? q.heads != 0 : q.heads % k.heads != 0))
    context.fail("the heads of K do not divide the heads of Q");
}

bool has_all_shapes(const InferContext& context) {
  return context.has_shape(kQ) && context.has_shape(kK) && context.has_shape(kV);
}

Shape output_shape(const InferContext& context, const Heads& q, const Heads& v, bool rows_first, bool merged) {
  if (!rows_first) return {q.batch, q.heads, q.rows, v.size};
  if (!merged) return {q.batch, q.rows, q.heads, v.size};
  return {q.batch, q.rows, context.symbols.mul(q.heads, v.size)};
}

void infer_attention(InferContext& context) {
  if (!context.has_input(kQ) || !context.has_input(kK) || !context.has_input(kV))
    context.fail("Q, K and V are required");
  check_types(context);
  if (context.has_input(kPastK) != context.has_input(kPastV)) context.fail("past_key and past_value go together");
  const DataType type = context.type(kQ);
  const int outputs = context.num_outputs();
  if (!has_all_shapes(context) ||
      (context.has_input(kPastK) && (!context.has_shape(kPastK) || !context.has_shape(kPastV)))) {
    for (int i = 0; i < outputs; ++i) context.out(i, type);
    return;
  }
  const Heads q = heads_at(context, kQ), k = heads_at(context, kK), v = heads_at(context, kV);
  check_heads(context, q, k, v);
  Dim keys = k.rows;
  if (context.has_input(kPastK)) {
    const Shape &past_k = context.shape(kPastK), &past_v = context.shape(kPastV);
    if (past_k.rank() != 4 || past_v.rank() != 4 || differ(past_k[0], k.batch) || differ(past_k[1], k.heads) ||
        differ(past_k[3], k.size) || differ(past_v[0], v.batch) || differ(past_v[1], v.heads) ||
        differ(past_v[3], v.size) || differ(past_k[2], past_v[2]))
      context.fail("past_key and past_value must be [batch, heads of K, past length, head size]");
    keys = context.symbols.add(past_k[2], k.rows);
  }
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
  if (!has_all_shapes(context)) return context.out(kY, context.type(kQ));
  const Heads q = heads_at(context, kQ), k = heads_at(context, kK), v = heads_at(context, kV);
  check_heads(context, q, k, v);
  const std::string layout = context.attributes().get_string("output_layout", "BSHD");
  if (layout != "BSHD" && layout != "BHSD" && layout != "SBHD") not_implemented("the output layout '" + layout + "'");
  Shape shape = output_shape(context, q, v, layout != "BHSD", true);
  if (layout == "SBHD") std::swap(shape[0], shape[1]);
  context.out(kY, context.type(kQ), std::move(shape));
}

// ---- kernels -----------------------------------------------------------------------------------------------------

// Copies heads into [batch, heads, total, size] from row `at` on.
template <class T>
void copy_heads(const T* src, const Heads& heads, T* dst, int64_t total, int64_t at, const Parallel& parallel) {
  const HeadStrides& s = heads.strides;
  parallel.range(heads.batch * heads.heads, 1 + 16384 / std::max<int64_t>(1, heads.rows * heads.size),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const T* from = src + i / heads.heads * s.batch + i % heads.heads * s.head;
                     T* to = dst + (i * total + at) * heads.size;
                     for (int64_t r = 0; r < heads.rows; ++r)
                       for (int64_t j = 0; j < heads.size; ++j) to[r * heads.size + j] = from[r * s.row + j * s.item];
                   }
                 });
}

// T: the type of the computation; float16 and bfloat16 are converted on the way in and out.
template <class T>
class AttentionKernel final : public Kernel {
 public:
  explicit AttentionKernel(const OpContext& context) : type_(context.type(kQ)), half_(is_half(type_)) {
    const Attributes& attributes = context.attributes();
    q_ = heads_at(context, kQ);
    k_ = heads_at(context, kK);
    v_ = heads_at(context, kV);
    p_.batch = q_.batch;
    p_.heads = q_.heads;
    p_.kv_heads = k_.heads;
    p_.queries = q_.rows;
    p_.size = q_.size;
    p_.value_size = v_.size;
    has_past_ = context.has_input(kPastK);
    past_ = has_past_ ? context.shape(kPastK)[2] : 0;
    p_.keys = past_ + k_.rows;
    p_.q = q_.strides;
    p_.k = has_past_ ? dense(k_.heads, p_.keys, k_.size) : k_.strides;
    p_.v = has_past_ ? dense(v_.heads, p_.keys, v_.size) : v_.strides;
    const bool attention = context.node.op_type == "Attention";
    const std::string layout =
        attention ? (context.shape(kQ).rank() == 3 ? "BSHD" : "BHSD") : attributes.get_string("output_layout", "BSHD");
    const int64_t token = q_.heads * v_.size;
    if (layout == "BSHD") p_.y = {q_.rows * token, v_.size, token, 1};
    if (layout == "SBHD") p_.y = {token, v_.size, q_.batch * token, 1};
    if (layout == "BHSD") p_.y = dense(q_.heads, q_.rows, v_.size);
    p_.scale = attributes.has("scale") ? static_cast<double>(attributes.get_float("scale", 1))
                                       : 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, q_.size)));
    p_.softcap = attributes.get_float("softcap", 0);
    p_.causal = attributes.get_int("is_causal", 0) != 0;
    p_.left_window = attributes.get_int("left_window_size", -1);
    p_.right_window = attributes.get_int("right_window_size", -1);
    p_.offset = past_;
    p_.has_lengths = context.has_input(kLengths);
    p_.lengths_shift = !has_past_;
    p_.masked_rows_are_zero = attention;
    if (context.has_input(kMask)) read_mask(context, attention, p_);
    if (context.has_output(kQk)) p_.qk_output = read_qk_mode(context);
    for (int i = 0; i < kInputs; ++i) in_counts_[i] = context.has_input(i) ? context.shape(i).count() : -1;
    for (int i = 0; i < kOutputs; ++i) out_counts_[i] = context.has_output(i) ? context.out(i).shape.count() : -1;
    threads_ = context.options.threads;
    plan_workspace();
  }

  size_t workspace_bytes() const override { return bytes_; }

  void run(const KernelArgs& args) const override {
    AttentionTensors<T> t{};
    t.q = in(args, kQ) + q_.offset;
    t.k = in(args, kK) + k_.offset;
    t.v = in(args, kV) + v_.offset;
    if (p_.has_mask) {
      if (p_.mask_is_bool) {
        t.bool_mask = args.in<bool>(kMask);
      } else {
        t.mask = in(args, kMask);
      }
    }
    if (p_.has_lengths) t.lengths = args.in<int64_t>(kLengths);
    t.y = out(args, kY);
    t.qk = out(args, kQk);
    t.k = present(args, k_, t.k, kPastK, kPresentK);
    t.v = present(args, v_, t.v, kPastV, kPresentV);
    if constexpr (std::is_same_v<T, float>) {
      kernels::run_attention(p_, t, threads_, args.workspace, args.parallel);
    } else {
      kernels::run_attention_reference<T>(p_, t, args.workspace);
    }
    if (!half_) return;
    if constexpr (std::is_same_v<T, float>) {
      for (int i = 0; i < kOutputs; ++i)
        if (out_counts_[i] > 0) kernels::narrow(type_, at(args, out_at_[i]), args.out<std::byte>(i), out_counts_[i]);
    }
  }

 private:
  static QkOutput read_qk_mode(const OpContext& context) {
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

  void plan_workspace() {
    if constexpr (std::is_same_v<T, float>) {
      bytes_ = align_up(kernels::attention_workspace_bytes(p_, threads_));
    } else {
      bytes_ = align_up(kernels::attention_reference_workspace_bytes<T>(p_));
    }
    const auto take = [&](int64_t count) {
      const size_t begin = bytes_;
      bytes_ += align_up(static_cast<size_t>(count) * sizeof(T));
      return begin;
    };
    if (half_) {
      for (int i = 0; i < kLengths; ++i)
        if (in_counts_[i] > 0 && !(i == kMask && p_.mask_is_bool)) in_at_[i] = take(in_counts_[i]);
    }
    // Past and new keys side by side need a place even where nobody wants them as an output.
    for (int i = 0; i < kOutputs; ++i) {
      const bool inner = has_past_ && (i == kPresentK || i == kPresentV) && out_counts_[i] < 0;
      const int64_t head = i == kPresentK ? k_.size : v_.size;
      if (inner) out_at_[i] = take(k_.batch * k_.heads * p_.keys * head);
      if (half_ && out_counts_[i] >= 0) out_at_[i] = take(out_counts_[i]);
    }
  }

  static T* at(const KernelArgs& args, size_t offset) { return reinterpret_cast<T*>(args.workspace + offset); }

  const T* in(const KernelArgs& args, int i) const {
    if (!half_) return args.in<T>(i);
    if constexpr (std::is_same_v<T, float>) {
      if (in_counts_[i] > 0) kernels::widen(type_, args.in<std::byte>(i), at(args, in_at_[i]), in_counts_[i]);
    }
    return at(args, in_at_[i]);
  }

  T* out(const KernelArgs& args, int i) const {
    if (out_counts_[i] < 0) return nullptr;
    return half_ ? at(args, out_at_[i]) : args.out<T>(i);
  }

  // Writes past and new rows side by side where there is a past or the caller wants them; returns what to read from.
  const T* present(const KernelArgs& args, const Heads& heads, const T* fresh, int past_input, int output) const {
    T* dst = out(args, output);
    if (!dst && !has_past_) return fresh;
    if (!dst) dst = at(args, out_at_[output]);
    if (has_past_) {
      Heads past = heads;
      past.rows = past_;
      past.strides = dense(heads.heads, past_, heads.size);
      copy_heads(in(args, past_input), past, dst, p_.keys, 0, args.parallel);
    }
    copy_heads(fresh, heads, dst, p_.keys, past_, args.parallel);
    return has_past_ ? dst : fresh;
  }

  DataType type_;
  bool half_;
  AttentionProblem p_;
  Heads q_, k_, v_;
  bool has_past_ = false;
  int64_t past_ = 0;
  int threads_ = 1;
  int64_t in_counts_[kInputs], out_counts_[kOutputs];
  size_t in_at_[kInputs] = {}, out_at_[kOutputs] = {};
  size_t bytes_ = 0;
};

std::unique_ptr<Kernel> prepare_attention(const OpContext& context) {
  if (context.type(kQ) == DataType::Double) return std::make_unique<AttentionKernel<double>>(context);
  return std::make_unique<AttentionKernel<float>>(context);
}

constexpr Candidate kCandidates[] = {{.name = "attention", .prepare = prepare_attention}};

constexpr OpDef kOps[] = {
    {.domain = "", .name = "Attention", .infer = infer_attention, .cpu = kCandidates, .types = kFloatTypes},
    {.domain = "fastort", .name = "FusedAttention", .infer = infer_fused, .cpu = kCandidates, .types = kFloatTypes},
};

}  // namespace

std::span<const OpDef> attention_ops() { return kOps; }

}  // namespace fastort
