#include "kernels/attention/attention.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/cpu_info.h"
#include "kernels/attention/softmax_row.h"
#include "kernels/gemm/sgemm.h"
#include "kernels/gemm/sgemm_kernels.h"

namespace fastort::kernels {

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Rows of Q whose scores are computed at once, at most, and the work of a thread, at least, in multiply-adds.
constexpr int64_t kMostRows = 36;
constexpr int64_t kLeastWork = 100000;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

size_t floats(int64_t count) { return (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64; }

// How the work is cut: heads of K and V, for each of them blocks of query rows of the heads that share it. A thread
// packs a head when it comes to it.
struct Cut {
  int64_t rows, blocks, units;  // rows of a block, blocks of a head of Q, blocks of all heads
  int64_t stride;               // between rows of scores
  size_t packed_k, packed_v, scores, bias, factors, queries, worker;
  bool own_bias;  // of each row of a block, made from masks

  explicit Cut(const AttentionProblem& p) {
    const int64_t fitting = static_cast<int64_t>(cache_sizes().l2) / 3 / (4 * std::max<int64_t>(1, p.keys));
    const int64_t tile = sgemm_tile_rows();
    rows = std::clamp(fitting / tile * tile, 2 * tile, kMostRows / tile * tile);
    blocks = std::max<int64_t>(1, ceil_div(p.queries, rows));
    units = p.batch * p.heads * blocks;
    const int64_t panel = std::max(sgemm_panel_width(), kScoreStep);
    stride = ceil_div(p.keys, panel) * panel;
    // Rows that are a multiple of many lines apart share too few lines of the first cache.
    if (stride % 128 == 0) stride += panel;
    own_bias = p.has_mask && (p.mask.row != 0 || p.key_mask.row != 0) &&
               (p.mask_is_bool || p.mask.item != 1 || p.has_key_mask);
    packed_k = floats(static_cast<int64_t>(packed_b_bytes(p.size, p.keys) / sizeof(float)));
    packed_v = floats(static_cast<int64_t>(packed_b_bytes(p.keys, p.value_size) / sizeof(float)));
    scores = floats(rows * stride);
    bias = floats(own_bias ? rows * stride : stride);
    factors = floats(rows);
    queries = p.q.item == 1 ? 0 : floats(rows * p.size);  // copied where their items are not adjacent
    worker = packed_k + packed_v + scores + bias + factors + queries;
  }
};

class Run {
 public:
  Run(const AttentionProblem& p, const AttentionTensors<float>& t, int threads, std::byte* workspace)
      : p_(p), t_(t), cut_(p), threads_(threads), scratch_(workspace) {
    simple_ = p.qk_output == QkOutput::None && p.softcap == 0 && p.left_window < 0;
    one_range_ = !p.causal && p.right_window < 0 && p.left_window < 0;
    one_bias_ = p.mask.row == 0 && p.key_mask.row == 0;
  }

  void run(const Parallel& parallel) const {
    const int64_t unit_work = std::max<int64_t>(1, cut_.rows * p_.keys * (p_.size + p_.value_size));
    const int64_t least = 1 + kLeastWork / unit_work, head = p_.heads / p_.kv_heads * cut_.blocks;
    const int64_t workers = std::clamp<int64_t>(cut_.units / least, 1, threads_);
    // Whole heads as long as each thread has one to do, then single blocks, so that all end together.
    std::atomic<int64_t> taken{0};
    parallel.chunks(static_cast<int>(workers), [&](int worker) {
      const Scratch scratch(*this, worker);
      int64_t packed = -1;
      for (int64_t begin = taken.load(std::memory_order_relaxed); begin < cut_.units && !parallel.cancelled();) {
        const int64_t left = cut_.units - begin;
        int64_t end = begin + std::max(least, left > workers * head || workers == 1 ? head - begin % head : 1);
        end = std::min(end, cut_.units);
        if (!taken.compare_exchange_weak(begin, end, std::memory_order_relaxed)) continue;
        for (; begin < end; ++begin) {
          if (begin / head != packed) pack(packed = begin / head, scratch);
          block(begin, scratch);
        }
        begin = taken.load(std::memory_order_relaxed);
      }
    });
  }

 private:
  // What belongs to one thread.
  struct Scratch {
    float *k, *v, *scores, *bias, *factors, *queries;

    Scratch(const Run& run, int worker) {
      std::byte* at = run.scratch_ + static_cast<size_t>(worker) * run.cut_.worker;
      const auto take = [&](size_t bytes) {
        float* const begin = reinterpret_cast<float*>(at);
        at += bytes;
        return begin;
      };
      k = take(run.cut_.packed_k);
      v = take(run.cut_.packed_v);
      scores = take(run.cut_.scores);
      bias = take(run.cut_.bias);
      factors = take(run.cut_.factors);
      queries = take(run.cut_.queries);
    }
  };

  void pack(int64_t item, const Scratch& scratch) const {
    const int64_t b = item / p_.kv_heads, kv = item % p_.kv_heads, panel = sgemm_panel_width();
    sgemm_pack_panels(t_.k + b * p_.k.batch + kv * p_.k.head, p_.k.item, p_.k.row, p_.size, used(b), 0,
                      ceil_div(used(b), panel), scratch.k, static_cast<float>(p_.scale));
    pack_b(t_.v + b * p_.v.batch + kv * p_.v.head, p_.v.row, p_.v.item, used(b), p_.value_size, scratch.v);
  }

  // The keys that any query may see.
  int64_t used(int64_t b) const {
    if (!p_.has_lengths || p_.qk_output != QkOutput::None) return p_.keys;
    return std::clamp<int64_t>(t_.lengths[b], 0, p_.keys);
  }

  void block(int64_t index, const Scratch& scratch) const {
    const int64_t b = index / cut_.blocks / p_.heads, h = index / cut_.blocks % p_.heads;
    const int64_t first = index % cut_.blocks * cut_.rows, rows = std::min(cut_.rows, p_.queries - first);

    // No query of the block sees the keys behind `seen`.
    int64_t seen = 0;
    for (int64_t i = 0; i < (one_range_ ? 1 : rows); ++i)
      seen = std::max(seen, visible_keys(p_, t_.lengths, t_.offsets, b, first + i).end);
    const int64_t limit = p_.qk_output == QkOutput::None ? seen : p_.keys;
    const int64_t lanes = sgemm_panel_width() / 2;
    SgemmBlock product;
    product.rows = rows;
    product.b_stride = sgemm_panel_width();
    product.b_padded = product.b_near = true;
    product.cols = ceil_div(limit, lanes) * lanes;
    product.depth = p_.size;
    product.a = t_.q + b * p_.q.batch + h * p_.q.head + first * p_.q.row;
    product.a_stride = p_.q.row;
    if (p_.q.item != 1) {
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < p_.size; ++j)
          scratch.queries[i * p_.size + j] = product.a[i * p_.q.row + j * p_.q.item];
      product.a = scratch.queries;
      product.a_stride = p_.size;
    }
    product.b = scratch.k;
    product.b_panel_stride = product.b_stride * p_.size;
    product.c = scratch.scores;
    product.c_stride = cut_.stride;
    if (limit > 0) sgemm_block(product);

    if (simple_) {
      simple_softmax(b, h, first, rows, seen, scratch);
    } else {
      for (int64_t i = 0; i < rows; ++i)
        scratch.factors[i] = 1 / softmax(b, h, first + i, scratch.scores + i * cut_.stride, limit, scratch.bias);
    }

    product.cols = p_.value_size;
    product.depth = seen;
    product.a = scratch.scores;
    product.a_stride = cut_.stride;
    product.b = scratch.v;
    product.b_panel_stride = product.b_stride * used(b);
    product.c = t_.y + b * p_.y.batch + h * p_.y.head + first * p_.y.row;
    product.c_stride = p_.y.row;
    product.row_factor = scratch.factors;
    if (p_.value_size > 0) sgemm_block(product);
  }

  // All rows of a block whose queries see keys from the first one on, and that gives no scores.
  void simple_softmax(int64_t b, int64_t h, int64_t first, int64_t rows, int64_t seen, const Scratch& scratch) const {
    std::array<ScoreRow, kMostRows> all;
    KeyRange range{0, seen};
    const float* bias = mask_row(p_, t_, b, h, first, range, scratch.bias);
    for (int64_t i = 0; i < rows; ++i) {
      if (!one_range_) range = visible_keys(p_, t_.lengths, t_.offsets, b, first + i);
      if (!one_bias_ && i > 0)
        bias = mask_row(p_, t_, b, h, first + i, range, cut_.own_bias ? scratch.bias + i * cut_.stride : nullptr);
      all[static_cast<size_t>(i)] = {scratch.scores + i * cut_.stride, bias, range.end, 0, 0};
    }
    exp_rows(all.data(), rows, seen);
    for (int64_t i = 0; i < rows; ++i) {
      const ScoreRow& row = all[static_cast<size_t>(i)];
      float sum = row.sum;
      if (!(row.most > kMasked) || std::isnan(sum))
        sum = finish_masked(b, h, first + i, row.scores, {0, row.count}, scratch.bias, row.most, sum);
      else if (p_.has_sink)
        sum += exp_beside(row.most, t_.sink[h]);
      scratch.factors[i] = 1 / sum;
    }
  }

  // Turns a row of scores into exponentials; returns their sum, by which the row of the output is to be divided.
  float softmax(int64_t b, int64_t h, int64_t i, float* row, int64_t limit, float* bias_scratch) const {
    float* const qk =
        p_.qk_output == QkOutput::None ? nullptr : t_.qk + ((b * p_.heads + h) * p_.queries + i) * p_.keys;
    const size_t bytes = static_cast<size_t>(p_.keys) * sizeof(float);
    if (p_.qk_output == QkOutput::Raw) std::memcpy(qk, row, bytes);
    if (p_.softcap != 0) softcap_row(row, limit, p_.softcap);
    if (p_.qk_output == QkOutput::Capped) std::memcpy(qk, row, bytes);
    const KeyRange range = visible_keys(p_, t_.lengths, t_.offsets, b, i);
    const int64_t count = range.end - range.begin;
    std::fill(row, row + range.begin, kMasked);
    std::fill(row + range.end, row + limit, kMasked);
    const float* bias = mask_row(p_, t_, b, h, i, range, bias_scratch);
    if (p_.qk_output == QkOutput::Biased) {
      if (bias) add_row(row + range.begin, bias, count);
      bias = nullptr;
      std::memcpy(qk, row, bytes);
      if (p_.unseen_scores_are_zero) {
        std::fill(qk, qk + range.begin, 0.0f);
        std::fill(qk + range.end, qk + p_.keys, 0.0f);
      }
    }
    float sum = 0;
    const float most = exp_row(row + range.begin, bias, count, sum);
    std::fill(row, row + range.begin, 0.0f);
    std::fill(row + range.end, row + limit, 0.0f);
    if (!(most > kMasked) || std::isnan(sum)) {
      sum = finish_masked(b, h, i, row, range, bias_scratch, most, sum);
    } else if (p_.has_sink) {
      sum += std::exp(t_.sink[h] - most);
    }
    if (p_.qk_output == QkOutput::Probabilities)
      for (int64_t k = 0; k < p_.keys; ++k) qk[k] = row[k] / sum;
    return sum;
  }

  // A row without any key, or with scores that are not finite.
  float finish_masked(int64_t b, int64_t h, int64_t i, float* row, KeyRange range, float* bias_scratch, float most,
                      float sum) const {
    const float* const bias = mask_row(p_, t_, b, h, i, range, bias_scratch);
    bool masked = true;
    for (int64_t k = 0; masked && k < range.end - range.begin; ++k) masked = bias && bias[k] == kMasked;
    // All scores of -inf count as masked, as long as no NaN stands among them.
    if (!masked && (most != kMasked || std::isnan(sum))) return sum;
    if (!p_.masked_rows_are_zero) return std::numeric_limits<float>::quiet_NaN();
    std::fill(row, row + p_.keys, 0.0f);
    return 1;
  }

  const AttentionProblem& p_;
  const AttentionTensors<float>& t_;
  Cut cut_;
  int threads_;
  std::byte* scratch_;
  bool simple_, one_range_, one_bias_;
};

}  // namespace

KeyRange visible_keys(const AttentionProblem& p, const int64_t* lengths, const int64_t* offsets, int64_t b, int64_t i) {
  KeyRange range{0, std::min(p.keys, p.mask_keys)};
  const int64_t position = i + (p.has_offsets ? offsets[b] : p.offset);
  if (p.has_lengths) range.end = std::min(range.end, lengths[b]);
  if (p.causal) range.end = std::min(range.end, position + 1);
  if (p.right_window >= 0) range.end = std::min(range.end, position + p.right_window + 1);
  if (p.left_window >= 0) range.begin = std::max(range.begin, position - p.left_window);
  range.end = std::clamp<int64_t>(range.end, 0, p.keys);
  range.begin = std::min(range.begin, range.end);
  return range;
}

const float* mask_row(const AttentionProblem& p, const AttentionTensors<float>& t, int64_t b, int64_t h, int64_t i,
                      KeyRange range, float* scratch) {
  const int64_t count = range.end - range.begin;
  const float* first = nullptr;
  if (p.has_mask) {
    const int64_t at = b % p.mask_batches * p.mask.batch + h * p.mask.head + i * p.mask.row;
    if (p.mask_is_bool) {
      const bool* const taken = t.bool_mask + at;
      if (p.mask.item == 1)
        mask_floats(taken + range.begin, count, scratch);
      else
        std::fill(scratch, scratch + count, *taken ? 0.0f : kMasked);
      first = scratch;
    } else if (p.mask.item == 1) {
      first = t.mask + at + range.begin;
    } else {
      std::fill(scratch, scratch + count, t.mask[at]);
      first = scratch;
    }
  }
  if (!p.has_key_mask) return first;
  const float* const second = t.key_mask + b * p.key_mask.batch + i * p.key_mask.row + range.begin;
  if (!first) return second;
  if (first != scratch) std::copy(first, first + count, scratch);
  add_row(scratch, second, count);
  return scratch;
}

size_t attention_workspace_bytes(const AttentionProblem& problem, int threads) {
  const Cut cut(problem);
  return static_cast<size_t>(std::clamp<int64_t>(cut.units, 1, threads)) * cut.worker;
}

void run_attention(const AttentionProblem& problem, const AttentionTensors<float>& tensors, int threads,
                   std::byte* workspace, const Parallel& parallel) {
  if (problem.batch == 0 || problem.heads == 0 || problem.queries == 0) return;
  Run(problem, tensors, threads, workspace).run(parallel);
}

template <class T>
size_t attention_reference_workspace_bytes(const AttentionProblem& problem) {
  return static_cast<size_t>(problem.keys) * sizeof(T);
}

template <class T>
void run_attention_reference(const AttentionProblem& p, const AttentionTensors<T>& t, std::byte* workspace) {
  constexpr T kMinus = -std::numeric_limits<T>::infinity();
  T* const row = reinterpret_cast<T*>(workspace);
  T* qk = t.qk;
  const auto give = [&](QkOutput kind) {
    if (p.qk_output == kind) std::copy(row, row + p.keys, qk);
  };
  for (int64_t item = 0; item < p.batch * p.heads * p.queries;
       ++item, qk += p.qk_output == QkOutput::None ? 0 : p.keys) {
    const int64_t b = item / p.queries / p.heads, h = item / p.queries % p.heads, i = item % p.queries;
    const int64_t kv = h / (p.heads / p.kv_heads);
    const T* const q = t.q + b * p.q.batch + h * p.q.head + i * p.q.row;
    for (int64_t k = 0; k < p.keys; ++k) {
      const T* const key = t.k + b * p.k.batch + kv * p.k.head + k * p.k.row;
      T sum = 0;
      for (int64_t j = 0; j < p.size; ++j) sum += q[j * p.q.item] * key[j * p.k.item];
      row[k] = sum * static_cast<T>(p.scale);
    }
    give(QkOutput::Raw);
    if (p.softcap != 0) {
      const T cap = static_cast<T>(p.softcap);
      for (int64_t k = 0; k < p.keys; ++k) row[k] = cap * std::tanh(row[k] / cap);
    }
    give(QkOutput::Capped);
    const KeyRange range = visible_keys(p, t.lengths, t.offsets, b, i);
    const int64_t mask_at = b % p.mask_batches * p.mask.batch + h * p.mask.head + i * p.mask.row;
    bool all_masked = true;
    T most = kMinus;
    for (int64_t k = 0; k < p.keys; ++k) {
      T bias = k < range.begin || k >= range.end ? kMinus : T{0};
      if (bias == 0 && p.has_mask) {
        const int64_t at = mask_at + k * p.mask.item;
        bias = p.mask_is_bool ? (t.bool_mask[at] ? T{0} : kMinus) : t.mask[at];
      }
      all_masked = all_masked && bias == kMinus;
      row[k] += bias;
      most = std::max(most, row[k]);
    }
    give(QkOutput::Biased);
    T sum = 0;
    for (int64_t k = 0; k < p.keys; ++k) sum += row[k] = std::exp(row[k] - most);
    for (int64_t k = 0; k < p.keys; ++k) row[k] = p.masked_rows_are_zero && all_masked ? T{0} : row[k] / sum;
    give(QkOutput::Probabilities);
    T* const y = t.y + b * p.y.batch + h * p.y.head + i * p.y.row;
    for (int64_t j = 0; j < p.value_size; ++j) {
      T total = 0;
      for (int64_t k = 0; k < p.keys; ++k)
        total += row[k] * t.v[b * p.v.batch + kv * p.v.head + k * p.v.row + j * p.v.item];
      y[j] = total;
    }
  }
}

template size_t attention_reference_workspace_bytes<double>(const AttentionProblem&);
template void run_attention_reference<double>(const AttentionProblem&, const AttentionTensors<double>&, std::byte*);
template size_t attention_reference_workspace_bytes<float>(const AttentionProblem&);
template void run_attention_reference<float>(const AttentionProblem&, const AttentionTensors<float>&, std::byte*);

}  // namespace fastort::kernels
