#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/attention/attention.h"
#include "ops/quantized/product.h"

namespace fastort {
namespace {

using kernels::AttentionProblem;
using kernels::IgemmEpilogue;
using quantized::Affine;
using quantized::Product;

enum Input { kX, kW, kBias, kXScale, kWScale, kMask, kXZero, kWZero, kPast };

// What the mask says, told by its shape.
enum class Mask : uint8_t { None, Ends, EndsAndStarts, Keys, QueriesAndKeys };

void infer(InferContext& context) {
  quantized::require(context, {kX, kW, kBias});
  quantized::expect_affine(context, kXScale, kXZero, context.type(kX));
  quantized::expect_affine(context, kWScale, kWZero, context.type(kW));
  quantized::expect(context, kBias, DataType::Float);
  quantized::expect(context, kMask, DataType::Int32);
  quantized::expect(context, kPast, DataType::Float);
  const Attributes& attributes = context.attributes();
  if (attributes.get_int("do_rotary", 0) != 0) not_implemented("QAttention with do_rotary");
  if (attributes.get_int("past_present_share_buffer", 0) != 0)
    not_implemented("QAttention with past_present_share_buffer");
  const int64_t heads = attributes.get_int("num_heads");
  if (heads < 1) context.fail("attribute num_heads is " + std::to_string(heads));
  context.out(0, DataType::Float);
  context.out(1, DataType::Float);
  if (!context.has_shape(kX) || !context.has_shape(kW)) return;
  const Shape &x = context.shape(kX), &w = context.shape(kW);
  if (x.rank() != 3 || w.rank() != 2) context.fail("the input needs three dimensions and the weight two");
  if (is_known(x[2]) && is_known(w[0]) && x[2] != w[0])
    context.fail("the weight " + to_string(w) + " does not fit the last axis of the input " + to_string(x));
  if (!is_known(w[1])) {
    context.out(0, DataType::Float, Shape{x[0], x[1], context.unknown()});
    return;
  }
  if (w[1] % 3 != 0 || w[1] / 3 % heads != 0)
    context.fail("the weight's " + std::to_string(w[1]) + " columns do not divide by three times num_heads");
  if (context.has_shape(kBias) &&
      (context.shape(kBias).rank() != 1 || (is_known(context.shape(kBias)[0]) && context.shape(kBias)[0] != w[1])))
    context.fail("the bias " + to_string(context.shape(kBias)) + " does not fit the weight " + to_string(w));
  const int64_t hidden = w[1] / 3, size = hidden / heads;
  context.out(0, DataType::Float, Shape{x[0], x[1], hidden});
  Dim total = x[1];
  if (context.has_input(kPast)) {
    if (!context.has_shape(kPast)) return;
    const Shape& past = context.shape(kPast);
    const auto fits = [](Dim have, Dim want) { return have == want || !is_known(have) || !is_known(want); };
    if (past.rank() != 5 || !fits(past[0], 2) || !fits(past[1], x[0]) || !fits(past[2], heads) || !fits(past[4], size))
      context.fail("past " + to_string(past) + " is not [2, batch, num_heads, past length, head size]");
    total = context.symbols.add(past[3], total);
  }
  context.out(1, DataType::Float, Shape{2, x[0], heads, total, size});
}

class QAttention final : public Kernel {
 public:
  explicit QAttention(const OpContext& context)
      : product_(context, matmul::plain_problem(context.shape(kX), context.shape(kW), false, false), {kX, kW, kWZero},
                 quantized::is_signed(context.type(kX)), quantized::is_signed(context.type(kW))),
        x_(context, kXScale, kXZero, context.type(kX)),
        threads_(context.options.threads) {
    const Attributes& attributes = context.attributes();
    const Shape& x = context.shape(kX);
    columns_ = context.shape(kW)[1];
    if (Refusal refusal = quantized::refuse_columns(context, kWScale, columns_, "the scale of the weight"))
      context.fail(*refusal);
    one_scale_ = context.shape(kWScale).count() == 1;
    past_ = context.has_input(kPast) ? context.shape(kPast)[3] : 0;
    present_output_ = context.has_output(1);
    AttentionProblem& p = problem_;
    const int64_t hidden = columns_ / 3;
    p.batch = x[0], p.queries = x[1], p.keys = past_ + x[1];
    p.heads = p.kv_heads = attributes.get_int("num_heads");
    p.size = p.value_size = hidden / p.heads;
    p.scale = attributes.get_float("scale", 0);
    if (p.scale == 0) p.scale = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(p.size, 1)));
    p.q = {p.queries * columns_, p.size, columns_, 1};
    const bool gathered = past_ > 0 || present_output_;
    p.k = gathered ? kernels::HeadStrides{p.heads * p.keys * p.size, p.keys * p.size, p.size, 1} : p.q;
    p.v = p.k;
    p.y = {p.queries * hidden, p.size, hidden, 1};
    gathered_ = gathered;
    causal_ = attributes.get_int("unidirectional", 0) != 0;
    filter_ = attributes.get_float("mask_filter_value", -10000.0f);
    read_mask(context);
    p.has_mask = mask_ != Mask::None || causal_;
    p.mask = {p.queries * p.keys, 0, p.keys, 1};
    p.mask_batches = p.batch;
    p.mask_keys = p.keys;
    const auto floats = [this](int64_t count) {
      const size_t at = bytes_;
      bytes_ += align_up(static_cast<size_t>(count) * sizeof(float));
      return at;
    };
    bytes_ = align_up(product_.workspace_bytes());
    scales_at_ = floats(product_.padded_columns());
    shift_at_ = floats(product_.padded_columns());
    qkv_at_ = floats(p.batch * p.queries * columns_);
    if (gathered && !present_output_) present_at_ = floats(2 * p.batch * p.heads * p.keys * p.size);
    if (p.has_mask) mask_at_ = floats(p.batch * p.queries * p.keys);
    attention_at_ = bytes_;
    bytes_ += kernels::attention_workspace_bytes(p, threads_);
  }

  size_t workspace_bytes() const override { return bytes_; }
  uint32_t unread_inputs() const override { return product_.unread_inputs(); }

  void run(const KernelArgs& args) const override {
    const AttentionProblem& p = problem_;
    if (p.batch * p.queries == 0) {
      if (present_output_ && p.keys > 0) gather(args, floats_at(args, qkv_at_));
      return;
    }
    float* const qkv = project(args);
    const int64_t hidden = columns_ / 3;
    kernels::AttentionTensors<float> tensors{};
    tensors.q = qkv;
    tensors.k = qkv + hidden;
    tensors.v = qkv + 2 * hidden;
    if (gathered_) {
      const float* present = gather(args, qkv);
      tensors.k = present;
      tensors.v = present + p.batch * p.heads * p.keys * p.size;
    }
    if (p.has_mask) tensors.mask = fill_mask(args);
    tensors.y = args.out<float>(0);
    kernels::run_attention(p, tensors, threads_, args.workspace + attention_at_, args.parallel);
  }

 private:
  static float* floats_at(const KernelArgs& args, size_t at) { return reinterpret_cast<float*>(args.workspace + at); }

  void read_mask(const OpContext& context) {
    if (!context.has_input(kMask)) return;
    const Shape& shape = context.shape(kMask);
    const AttentionProblem& p = problem_;
    if (shape == Shape{p.batch})
      mask_ = Mask::Ends;
    else if (shape == Shape{2 * p.batch})
      mask_ = Mask::EndsAndStarts;
    else if (shape == Shape{p.batch, p.keys})
      mask_ = Mask::Keys;
    else if (shape == Shape{p.batch, p.queries, p.keys})
      mask_ = Mask::QueriesAndKeys;
    else
      not_implemented("QAttention with a mask_index of shape " + to_string(shape) +
                      "; [batch], [2 * batch], [batch, keys] and [batch, queries, keys] are there");
  }

  // Q, K and V of all tokens, [batch, queries, 3, heads, size].
  float* project(const KernelArgs& args) const {
    const kernels::ByteScale x = x_.read(args);
    float *const scales = floats_at(args, scales_at_), *const shift = floats_at(args, shift_at_);
    std::fill(scales, scales + product_.padded_columns(), 0.0f);
    std::fill(shift, shift + product_.padded_columns(), 0.0f);
    for (int64_t j = 0; j < columns_; ++j) {
      scales[j] = x.scale * args.in<float>(kWScale)[one_scale_ ? 0 : j];
      shift[j] = args.in<float>(kBias)[j];
    }
    IgemmEpilogue epilogue;
    epilogue.kind = IgemmEpilogue::Kind::Floats;
    epilogue.scales = scales;
    epilogue.shift = shift;
    float* const qkv = floats_at(args, qkv_at_);
    product_.run(args, args.in<std::byte>(kX), x.zero, epilogue, reinterpret_cast<std::byte*>(qkv), args.workspace);
    return qkv;
  }

  // [2, batch, heads, keys, size]: the past, then the new keys and values.
  const float* gather(const KernelArgs& args, const float* qkv) const {
    const AttentionProblem& p = problem_;
    float* const present = present_output_ ? args.out<float>(1) : floats_at(args, present_at_);
    const int64_t hidden = columns_ / 3;
    args.parallel.range(2 * p.batch * p.heads, 1 + 8192 / std::max<int64_t>(1, p.keys * p.size),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i) {
                            const int64_t kind = i / (p.batch * p.heads), b = i / p.heads % p.batch, h = i % p.heads;
                            float* to = present + i * p.keys * p.size;
                            if (past_ > 0)
                              std::memcpy(to, args.in<float>(kPast) + i * past_ * p.size,
                                          static_cast<size_t>(past_ * p.size) * sizeof(float));
                            to += past_ * p.size;
                            const float* from = qkv + b * p.queries * columns_ + (1 + kind) * hidden + h * p.size;
                            for (int64_t s = 0; s < p.queries; ++s, to += p.size, from += columns_)
                              std::memcpy(to, from, static_cast<size_t>(p.size) * sizeof(float));
                          }
                        });
    return present;
  }

  bool masked(const int32_t* mask, int64_t b, int64_t i, int64_t j) const {
    const AttentionProblem& p = problem_;
    switch (mask_) {
      case Mask::None:
        return false;
      case Mask::Ends:
        return j >= mask[b];
      case Mask::EndsAndStarts:
        return j >= mask[b] || j < mask[p.batch + b];
      case Mask::Keys:
        return mask[b * p.keys + j] <= 0;
      case Mask::QueriesAndKeys:
        return mask[(b * p.queries + i) * p.keys + j] <= 0;
    }
    return false;
  }

  const float* fill_mask(const KernelArgs& args) const {
    const AttentionProblem& p = problem_;
    float* const dst = floats_at(args, mask_at_);
    const int32_t* mask = mask_ == Mask::None ? nullptr : args.in<int32_t>(kMask);
    args.parallel.range(p.batch * p.queries, 1 + 16384 / std::max<int64_t>(1, p.keys), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t b = row / p.queries, i = row % p.queries;
        for (int64_t j = 0; j < p.keys; ++j) {
          float value = masked(mask, b, i, j) ? filter_ : 0;
          if (causal_ && j > past_ + i) value += filter_;
          dst[row * p.keys + j] = value;
        }
      }
    });
    return dst;
  }

  Product product_;
  Affine x_;
  int threads_;
  AttentionProblem problem_;
  Mask mask_ = Mask::None;
  int64_t columns_ = 0, past_ = 0;
  bool one_scale_ = true, present_output_ = false, gathered_ = false, causal_ = false;
  float filter_ = 0;
  size_t bytes_ = 0, scales_at_ = 0, shift_at_ = 0, qkv_at_ = 0, present_at_ = 0, mask_at_ = 0, attention_at_ = 0;
};

std::unique_ptr<Kernel> prepare(const OpContext& context) { return std::make_unique<QAttention>(context); }

constexpr Candidate kCandidates[] = {{.name = "products", .prepare = prepare}};
constexpr OpDef kOps[] = {
    {.domain = "com.microsoft", .name = "QAttention", .infer = infer, .cpu = kCandidates, .types = quantized::kBytes}};

}  // namespace

std::span<const OpDef> q_attention_ops() { return kOps; }

}  // namespace fastort
