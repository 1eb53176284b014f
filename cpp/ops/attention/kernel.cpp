#include "ops/attention/kernel.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/elementwise/half.h"
#include "ops/attention/key_mask.h"
#include "ops/attention/rows.h"

namespace fastort::attention {
namespace {

using kernels::AttentionTensors;
using kernels::QkOutput;

// Lengths and windows that mean every key, of which sums still fit.
constexpr int64_t kAllRows = int64_t{1} << 40, kWidest = int64_t{1} << 60;

// A row as it is, or as it is in another type.
template <class E, class F>
void move_row(const E* src, int64_t step, int64_t size, const RowChange<E>& change, F* dst) {
  const bool plain = step == 1 && !change.bias && !change.norm && !change.cos;
  if constexpr (std::is_same_v<E, F>) {
    if (plain) {
      std::copy(src, src + size, dst);
      return;
    }
  } else if constexpr (kIsHalf<E>) {
    if (plain) return kernels::widen(src, dst, size);
  }
  write_row(src, step, size, change, dst);
}

// E: the type of the tensors. float16 and bfloat16 are computed in float.
template <class E>
class AttentionKernel final : public Kernel {
  using C = Arithmetic<E>;
  static constexpr bool kHalf = kIsHalf<E>;

  // K or V on its way from the input and the past to where it is read.
  struct Side {
    Operand from;
    Cache cache;
    bool rotated = false;
    bool direct = false;  // read from the input
    bool own = false;     // rows in the workspace, where no present rows are wanted
    size_t own_at = 0;
    int64_t capacity = 0;  // rows of the present or of the own ones
    bool wide = false;     // read from a copy in float
    size_t wide_at = 0;
  };

  // What a run finds out at its start.
  struct Facts {
    int64_t *past, *totals, *offsets;  // of each batch item
    int64_t* positions;                // of each new row
  };

 public:
  AttentionKernel(const OpContext& context, Spec spec) : s_(std::move(spec)), p_(s_.problem) {
    name_ = context.node.origin.op_type.empty() ? context.node.op_type : context.node.origin.op_type;
    threads_ = context.options.threads;
    p_.left_window = std::min(p_.left_window, kWidest);
    p_.right_window = std::min(p_.right_window, kWidest);
    const int64_t new_rows = s_.k.heads.rows;
    p_.has_lengths = s_.past != Past::All || s_.lengths_input >= 0;
    p_.has_offsets = s_.past != Past::All || s_.shift_by_lengths;
    if (s_.past == Past::All) p_.offset = s_.past_rows;
    changes_q_ = s_.q.bias_at >= 0 || s_.q.norm_input >= 0 || s_.cos_input >= 0;
    if (!changes_q_ && !kHalf) {
      p_.q = s_.q.heads.strides;
    } else {
      p_.q = dense(p_.heads, p_.queries, p_.size);
      q_at_ = take<C>(p_.batch * p_.heads * p_.queries * p_.size);
    }
    facts_at_ = take<int64_t>(3 * p_.batch + p_.batch * new_rows);
    place(context, k_, s_.k, s_.k_cache, s_.cos_input >= 0, p_.k);
    place(context, v_, s_.v, s_.v_cache, false, p_.v);
    decodes_ = !std::is_same_v<E, double> && kernels::is_decoding(p_);
    if (kHalf && !decodes_) {
      widen(k_, p_.k);
      widen(v_, p_.v);
    }
    place_masks(context);
    y_count_ = context.out(0).shape.count();
    if (kHalf) y_at_ = take<C>(y_count_);
    if (s_.qk_output >= 0) qk_count_ = context.out(s_.qk_output).shape.count();
    if (kHalf && s_.qk_output >= 0) qk_at_ = take<C>(qk_count_);
    core_at_ = bytes_;
    if constexpr (std::is_same_v<E, double>) {
      bytes_ += align_up(kernels::attention_reference_workspace_bytes<double>(p_));
    } else {
      bytes_ += align_up(decodes_ ? kernels::decoding_workspace_bytes(p_, threads_)
                                  : kernels::attention_workspace_bytes(p_, threads_));
    }
  }

  size_t workspace_bytes() const override { return bytes_; }

  void run(const KernelArgs& args) const override {
    const Facts facts = find_facts(args);
    AttentionTensors<C> t{};
    t.q = queries(args, facts);
    t.k = read_from(args, k_);
    t.v = read_from(args, v_);
    t.lengths = facts.totals;
    t.offsets = facts.offsets;
    read_masks(args, facts, t);
    t.y = result(args, 0, y_at_);
    if (s_.qk_output >= 0) t.qk = result(args, s_.qk_output, qk_at_);
    const auto ready = [&](int64_t b, int64_t kv, int64_t begin, int64_t end) {
      make_rows(args, facts, k_, b, kv, begin, end);
      make_rows(args, facts, v_, b, kv, begin, end);
    };
    std::byte* const core = args.workspace + core_at_;
    if (p_.batch == 0 || p_.heads == 0 || p_.queries == 0) {
      all_ready(args, ready);
    } else if constexpr (std::is_same_v<E, double>) {
      all_ready(args, ready);
      kernels::run_attention_reference<double>(p_, t, core);
    } else if (decodes_) {
      const kernels::TypedRows rows{kDataTypeOf<E>, rows_of(args, k_), rows_of(args, v_)};
      kernels::run_decoding(p_, t, rows, threads_, core, args.parallel, ready);
    } else {
      if (is_made(k_) || is_made(v_)) all_ready(args, ready);
      kernels::run_attention(p_, t, threads_, core, args.parallel);
    }
    if constexpr (kHalf) {
      kernels::narrow(at<C>(args, y_at_), args.out<E>(0), y_count_);
      if (s_.qk_output >= 0) kernels::narrow(at<C>(args, qk_at_), args.out<E>(s_.qk_output), qk_count_);
    }
  }

 private:
  // ---- what is prepared --------------------------------------------------------------------------------------------

  template <class T>
  size_t take(int64_t count) {
    const size_t begin = bytes_;
    bytes_ += align_up(static_cast<size_t>(count) * sizeof(T));
    return begin;
  }

  // Where the rows of K or V are read in their own type.
  void place(const OpContext& context, Side& side, const Operand& from, const Cache& cache, bool rotated,
             kernels::HeadStrides& strides) {
    side.from = from;
    side.cache = cache;
    side.rotated = rotated;
    if (cache.present >= 0 && !context.has_output(cache.present)) side.cache.present = -1;
    side.direct = cache.past < 0 && from.bias_at < 0 && from.norm_input < 0 && !rotated;
    side.own = !side.direct && side.cache.present < 0;
    side.capacity = side.cache.present >= 0 ? s_.present_rows : p_.keys;
    const Heads& heads = from.heads;
    if (side.own) side.own_at = take<E>(p_.batch * heads.heads * side.capacity * heads.size);
    strides = side.direct ? heads.strides : dense(heads.heads, side.capacity, heads.size);
  }

  void widen(Side& side, kernels::HeadStrides& strides) {
    const Heads& heads = side.from.heads;
    side.wide = true;
    side.wide_at = take<C>(p_.batch * heads.heads * p_.keys * heads.size);
    strides = dense(heads.heads, p_.keys, heads.size);
  }

  void place_masks(const OpContext& context) {
    if (s_.mask_input >= 0 && kHalf && !p_.mask_is_bool) {
      mask_count_ = context.shape(s_.mask_input).count();
      mask_at_ = take<C>(mask_count_);
    }
    if (s_.key_mask != KeyMask::None) {
      key_mask_ = KeyMaskShape(s_);
      p_.has_key_mask = true;
      p_.mask_keys = std::min(p_.mask_keys, key_mask_.keys);
      p_.key_mask = {key_mask_.rows * key_mask_.keys, 0, key_mask_.rows > 1 ? key_mask_.keys : 0, 1};
      key_mask_at_ = take<C>(p_.batch * key_mask_.rows * key_mask_.keys);
    }
    if (p_.has_sink) sink_at_ = take<C>(p_.heads);
  }

  // ---- what is found out at the start of a run ---------------------------------------------------------------------

  template <class T>
  static T* at(const KernelArgs& args, size_t offset) {
    return reinterpret_cast<T*>(args.workspace + offset);
  }

  [[noreturn]] void refuse(const std::string& what) const { invalid_argument(name_ + ": " + what); }

  Facts find_facts(const KernelArgs& args) const {
    int64_t* const all = at<int64_t>(args, facts_at_);
    const Facts facts{all, all + p_.batch, all + 2 * p_.batch, all + 3 * p_.batch};
    const int64_t fresh = s_.k.heads.rows;
    for (int64_t b = 0; b < p_.batch; ++b) {
      int64_t past = s_.past_rows;
      if (s_.past == Past::Scalar) past = args.in<int32_t>(s_.past_input)[0];
      if (s_.past == Past::Totals) past = s_.prompt ? 0 : args.in<int32_t>(s_.past_input)[b] + int64_t{1} - fresh;
      if (past < 0 || past > s_.past_rows || past > p_.keys - fresh)
        refuse("a past of " + std::to_string(past) + " rows and " + std::to_string(fresh) +
               " new ones are given, where the cache has " + std::to_string(s_.past_rows) + " rows and " +
               std::to_string(p_.keys) + " are read");
      facts.past[b] = past;
      facts.totals[b] = past + fresh;
      facts.offsets[b] = past;
      if (s_.past == Past::Totals && s_.prompt) {
        const int64_t total = args.in<int32_t>(s_.past_input)[b] + int64_t{1};
        if (total < 0 || total > p_.keys)
          refuse("a sequence of " + std::to_string(total) + " rows is not one of " + std::to_string(p_.keys));
        facts.totals[b] = total;
      }
      if (s_.lengths_input >= 0)
        facts.totals[b] = std::clamp<int64_t>(args.in<int64_t>(s_.lengths_input)[b], 0, kAllRows);
      if (s_.shift_by_lengths) facts.offsets[b] = facts.totals[b] - p_.queries;
    }
    if (s_.cos_input >= 0) find_positions(args, facts);
    return facts;
  }

  void find_positions(const KernelArgs& args, const Facts& facts) const {
    const int64_t fresh = s_.k.heads.rows;
    const int64_t* const given = s_.positions_input >= 0 ? args.in<int64_t>(s_.positions_input) : nullptr;
    for (int64_t i = 0; i < p_.batch * fresh; ++i) {
      int64_t position = facts.past[i / fresh] + i % fresh;
      if (given) position = s_.first_position ? given[0] : given[i];
      if (position < 0 || position >= s_.positions)
        refuse("the position " + std::to_string(position) + " is outside the caches of " +
               std::to_string(s_.positions) + " rows");
      if (given && s_.first_position) {
        if (position + i % fresh >= s_.positions)
          refuse("the position " + std::to_string(position + i % fresh) + " is outside the caches of " +
                 std::to_string(s_.positions) + " rows");
        position += i % fresh;
      }
      facts.positions[i] = position;
    }
  }

  RowChange<E> change_of(const KernelArgs& args, const Operand& operand, bool rotated, int64_t head,
                         int64_t position) const {
    RowChange<E> change;
    if (operand.bias_at >= 0) change.bias = args.in<E>(s_.bias_input) + operand.bias_at + head * operand.heads.size;
    if (operand.norm_input >= 0) change.norm = args.in<E>(operand.norm_input);
    change.epsilon = s_.norm_epsilon;
    if (!rotated) return change;
    change.cos = args.in<E>(s_.cos_input) + position * (s_.rotated / 2);
    change.sin = args.in<E>(s_.sin_input) + position * (s_.rotated / 2);
    change.rotated = s_.rotated;
    change.interleaved = s_.interleaved;
    return change;
  }

  const C* queries(const KernelArgs& args, const Facts& facts) const {
    const Heads& heads = s_.q.heads;
    const E* const src = args.in<E>(s_.q.input) + heads.offset;
    if constexpr (!kHalf)
      if (!changes_q_) return src;
    C* const dst = at<C>(args, q_at_);
    const kernels::HeadStrides& from = heads.strides;
    const bool rotated = s_.cos_input >= 0;
    args.parallel.range(p_.batch * p_.heads * p_.queries, 1 + 8192 / std::max<int64_t>(1, p_.size),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t n = begin; n < end; ++n) {
                            const int64_t i = n % p_.queries, h = n / p_.queries % p_.heads;
                            const int64_t b = n / p_.queries / p_.heads;
                            const int64_t position = rotated ? facts.positions[b * p_.queries + i] : 0;
                            move_row(src + b * from.batch + h * from.head + i * from.row, from.item, p_.size,
                                     change_of(args, s_.q, rotated, h, position), dst + n * p_.size);
                          }
                        });
    return dst;
  }

  void read_masks(const KernelArgs& args, const Facts& facts, AttentionTensors<C>& t) const {
    if (s_.mask_input >= 0) {
      if (p_.mask_is_bool) {
        t.bool_mask = args.in<bool>(s_.mask_input);
      } else if constexpr (kHalf) {
        kernels::widen(args.in<E>(s_.mask_input), at<C>(args, mask_at_), mask_count_);
        t.mask = at<C>(args, mask_at_);
      } else {
        t.mask = args.in<E>(s_.mask_input);
      }
    }
    if (p_.has_key_mask) {
      C* const mask = at<C>(args, key_mask_at_);
      fill_key_mask(s_, key_mask_, args.in<int32_t>(s_.key_mask_input), facts.past, mask);
      t.key_mask = mask;
    }
    if (p_.has_sink) {
      C* const sink = at<C>(args, sink_at_);
      for (int64_t h = 0; h < p_.heads; ++h)
        sink[h] = s_.sink_input >= 0 ? widened(args.in<E>(s_.sink_input)[h]) : C{0};
      t.sink = sink;
    }
  }

  C* result(const KernelArgs& args, int output, size_t offset) const {
    if constexpr (kHalf)
      return at<C>(args, offset);
    else
      return args.out<E>(output);
  }

  // ---- rows of K and V ---------------------------------------------------------------------------------------------

  static bool is_made(const Side& side) { return side.cache.present >= 0 || side.own || side.wide; }

  // Where present rows or rows of the workspace are written, if they are.
  E* made_rows(const KernelArgs& args, const Side& side) const {
    if (side.cache.present >= 0) return args.out<E>(side.cache.present) + side.cache.present_at;
    return side.own ? at<E>(args, side.own_at) : nullptr;
  }

  // What the kernel reads in the tensors' own type.
  const E* rows_of(const KernelArgs& args, const Side& side) const {
    if (side.direct) return args.in<E>(side.from.input) + side.from.heads.offset;
    return made_rows(args, side);
  }

  const C* read_from(const KernelArgs& args, const Side& side) const {
    if constexpr (kHalf)
      return side.wide ? at<C>(args, side.wide_at) : nullptr;
    else
      return rows_of(args, side);
  }

  template <class Ready>
  void all_ready(const KernelArgs& args, const Ready& ready) const {
    args.parallel.range(p_.batch * p_.kv_heads, 1 + 16384 / std::max<int64_t>(1, p_.keys * (p_.size + p_.value_size)),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i) ready(i / p_.kv_heads, i % p_.kv_heads, 0, p_.keys);
                        });
  }

  // Rows [begin, end) of one head: those of the past, new ones, and what is behind them in the buffer.
  void make_rows(const KernelArgs& args, const Facts& facts, const Side& side, int64_t b, int64_t kv, int64_t begin,
                 int64_t end) const {
    const int64_t size = side.from.heads.size, head = b * p_.kv_heads + kv;
    const int64_t past_end = std::min(end, facts.past[b]);
    const int64_t fresh_end = std::min(end, facts.past[b] + side.from.heads.rows);
    E* const made = made_rows(args, side);
    const E* past = nullptr;
    if (side.cache.past >= 0) past = args.in<E>(side.cache.past) + side.cache.past_at + head * s_.past_rows * size;
    if (made) {
      E* const rows = made + head * side.capacity * size;
      if (rows != past) {
        if (begin < past_end) std::copy(past + begin * size, past + past_end * size, rows + begin * size);
        const int64_t stop = end == p_.keys ? side.capacity : end;
        const int64_t behind = std::max(begin, facts.past[b] + side.from.heads.rows);
        if (behind < stop && s_.past == Past::Scalar)  // as if it were the same memory
          std::copy(past + behind * size, past + stop * size, rows + behind * size);
        else if (behind < stop)
          std::fill(rows + behind * size, rows + stop * size, E{});
      }
      new_rows(args, facts, side, b, kv, std::max(begin, past_end), fresh_end, rows);
      if (side.wide && begin < fresh_end) widen_rows(args, side, head, begin, fresh_end, rows);
    } else if (side.wide) {
      if (begin < past_end) widen_rows(args, side, head, begin, past_end, past);
      C* const rows = at<C>(args, side.wide_at) + head * p_.keys * size;
      new_rows(args, facts, side, b, kv, std::max(begin, past_end), fresh_end, rows);
    }
  }

  void widen_rows(const KernelArgs& args, const Side& side, int64_t head, int64_t begin, int64_t end,
                  const E* rows) const {
    if constexpr (kHalf) {
      const int64_t size = side.from.heads.size;
      C* const wide = at<C>(args, side.wide_at) + head * p_.keys * size;
      kernels::widen(rows + begin * size, wide + begin * size, (end - begin) * size);
    }
  }

  template <class F>
  void new_rows(const KernelArgs& args, const Facts& facts, const Side& side, int64_t b, int64_t kv, int64_t begin,
                int64_t end, F* rows) const {
    const Heads& heads = side.from.heads;
    const kernels::HeadStrides& from = heads.strides;
    const E* const src = args.in<E>(side.from.input) + heads.offset + b * from.batch + kv * from.head;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t r = row - facts.past[b];
      const int64_t position = side.rotated ? facts.positions[b * heads.rows + r] : 0;
      move_row(src + r * from.row, from.item, heads.size, change_of(args, side.from, side.rotated, kv, position),
               rows + row * heads.size);
    }
  }

  Spec s_;
  kernels::AttentionProblem p_;
  std::string name_;
  int threads_ = 1;
  bool changes_q_ = false, decodes_ = false;
  Side k_, v_;
  KeyMaskShape key_mask_;
  int64_t mask_count_ = 0, y_count_ = 0, qk_count_ = 0;
  size_t q_at_ = 0, facts_at_ = 0, mask_at_ = 0, key_mask_at_ = 0, sink_at_ = 0, y_at_ = 0, qk_at_ = 0, core_at_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_attention(const OpContext& context, Spec spec) {
  switch (spec.type) {
    case DataType::Float:
      return std::make_unique<AttentionKernel<float>>(context, std::move(spec));
    case DataType::Double:
      return std::make_unique<AttentionKernel<double>>(context, std::move(spec));
    case DataType::Float16:
      return std::make_unique<AttentionKernel<Float16>>(context, std::move(spec));
    case DataType::BFloat16:
      return std::make_unique<AttentionKernel<BFloat16>>(context, std::move(spec));
    default:
      context.fail("is not defined for " + std::string(name(spec.type)));
  }
}

}  // namespace fastort::attention
