#include "kernels/attention/attention.h"

#include <algorithm>
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

size_t floats(int64_t count) { return (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64; }

// How the work is cut: blocks of query rows whose scores stay in the second cache; pieces of them, each with scratch.
struct Cut {
  int64_t rows, blocks, pieces;
  size_t packed_k, packed_v, scores, bias, sums, queries, piece;

  Cut(const AttentionProblem& p, int threads) {
    const int64_t fitting = static_cast<int64_t>(cache_sizes().l2) / 3 / (4 * std::max<int64_t>(1, p.keys));
    const int64_t tile = sgemm_tile_rows();
    rows = std::clamp(fitting / tile * tile, 2 * tile, 66 / tile * tile);
    // Blocks of even height, so that no short one is left over.
    const int64_t count = std::max<int64_t>(1, (p.queries + rows - 1) / rows);
    rows = std::max<int64_t>(1, (p.queries + count - 1) / count);
    blocks = p.batch * p.heads * ((p.queries + rows - 1) / rows);
    pieces = std::min<int64_t>(blocks, threads == 1 ? 1 : 4LL * threads);
    packed_k = (packed_b_bytes(p.size, p.keys) + 63) / 64 * 64;
    packed_v = (packed_b_bytes(p.keys, p.value_size) + 63) / 64 * 64;
    scores = floats(rows * p.keys);
    bias = floats(p.keys);
    sums = floats(rows);
    queries = p.q.item == 1 ? 0 : floats(rows * p.size);  // copied where their items are not adjacent
    piece = scores + bias + sums + queries;
  }
  size_t packed_bytes(const AttentionProblem& p) const {
    return static_cast<size_t>(p.batch * p.kv_heads) * (packed_k + packed_v);
  }
};

class Run {
 public:
  Run(const AttentionProblem& p, const AttentionTensors<float>& t, int threads, std::byte* workspace, ReadyRows ready)
      : p_(p), t_(t), cut_(p, threads), packed_(workspace), scratch_(workspace + cut_.packed_bytes(p)), ready_(ready) {}

  void run(const Parallel& parallel) const {
    const int64_t row_work = p_.keys * (p_.size + p_.value_size);
    parallel.range(p_.batch * p_.kv_heads, 1 + 16384 / std::max<int64_t>(1, row_work), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pack(i);
    });
    const int64_t blocks = cut_.blocks;
    const int64_t least = 1 + 100000 / std::max<int64_t>(1, row_work * cut_.rows);
    const int64_t pieces = std::clamp<int64_t>(blocks / least, 1, cut_.pieces);
    parallel.chunks(static_cast<int>(pieces), [&](int piece) {
      for (int64_t i = blocks * piece / pieces; i < blocks * (piece + 1) / pieces; ++i) block(i, piece);
    });
  }

 private:
  const float* packed_k(int64_t b, int64_t kv) const {
    return reinterpret_cast<const float*>(packed_ +
                                          static_cast<size_t>(b * p_.kv_heads + kv) * (cut_.packed_k + cut_.packed_v));
  }
  const float* packed_v(int64_t b, int64_t kv) const { return packed_k(b, kv) + cut_.packed_k / sizeof(float); }

  void pack(int64_t item) const {
    const int64_t b = item / p_.kv_heads, kv = item % p_.kv_heads;
    ready_(b, kv, 0, p_.keys);
    pack_b(t_.k + b * p_.k.batch + kv * p_.k.head, p_.k.item, p_.k.row, p_.size, used(b),
           const_cast<float*>(packed_k(b, kv)));
    pack_b(t_.v + b * p_.v.batch + kv * p_.v.head, p_.v.row, p_.v.item, used(b), p_.value_size,
           const_cast<float*>(packed_v(b, kv)));
  }

  // The keys that any query may see.
  int64_t used(int64_t b) const {
    if (!p_.has_lengths || p_.qk_output != QkOutput::None) return p_.keys;
    return std::clamp<int64_t>(t_.lengths[b], 0, p_.keys);
  }

  void block(int64_t index, int64_t piece) const {
    const int64_t per_head = cut_.blocks / (p_.batch * p_.heads);
    const int64_t b = index / per_head / p_.heads, h = index / per_head % p_.heads;
    const int64_t first = index % per_head * cut_.rows, rows = std::min(cut_.rows, p_.queries - first);
    const int64_t kv = h / (p_.heads / p_.kv_heads);
    std::byte* const own = scratch_ + static_cast<size_t>(piece) * cut_.piece;
    float* const scores = reinterpret_cast<float*>(own);
    float* const bias = reinterpret_cast<float*>(own + cut_.scores);
    float* const sums = reinterpret_cast<float*>(own + cut_.scores + cut_.bias);

    // No query of the block sees the keys behind `seen`.
    int64_t seen = 0;
    for (int64_t i = 0; i < rows; ++i)
      seen = std::max(seen, visible_keys(p_, t_.lengths, t_.offsets, b, first + i).end);
    const int64_t limit = p_.qk_output == QkOutput::None ? seen : p_.keys;
    SgemmBlock product;
    product.rows = rows;
    product.b_stride = sgemm_panel_width();
    product.b_padded = true;
    product.cols = limit;
    product.depth = p_.size;
    product.a = t_.q + b * p_.q.batch + h * p_.q.head + first * p_.q.row;
    product.a_stride = p_.q.row;
    if (p_.q.item != 1) {
      float* const copy = sums + cut_.sums / sizeof(float);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < p_.size; ++j) copy[i * p_.size + j] = product.a[i * p_.q.row + j * p_.q.item];
      product.a = copy;
      product.a_stride = p_.size;
    }
    product.b = packed_k(b, kv);
    product.b_panel_stride = product.b_stride * p_.size;
    product.c = scores;
    product.c_stride = p_.keys;
    product.alpha = static_cast<float>(p_.scale);
    if (limit > 0) sgemm_block(product);

    for (int64_t i = 0; i < rows; ++i) sums[i] = softmax(b, h, first + i, scores + i * p_.keys, limit, bias);

    float* const y = t_.y + b * p_.y.batch + h * p_.y.head + first * p_.y.row;
    product.cols = p_.value_size;
    product.depth = seen;
    product.a = scores;
    product.a_stride = p_.keys;
    product.b = packed_v(b, kv);
    product.b_panel_stride = product.b_stride * used(b);
    product.c = y;
    product.c_stride = p_.y.row;
    product.alpha = 1;
    if (p_.value_size > 0) sgemm_block(product);
    for (int64_t i = 0; i < rows; ++i)
      if (sums[i] != 1) scale_row(y + i * p_.y.row, p_.value_size, 1 / sums[i]);
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
    if (!p_.masked_rows_are_zero) {
      if (range.begin == range.end) sum = std::numeric_limits<float>::quiet_NaN();
      return sum;
    }
    const float* const bias = mask_row(p_, t_, b, h, i, range, bias_scratch);
    bool masked = true;
    for (int64_t k = 0; masked && k < range.end - range.begin; ++k) masked = bias && bias[k] == kMasked;
    // All scores of -inf count as masked, as long as no NaN stands among them.
    if (!masked && (most != kMasked || p_.keys == 0)) return sum;
    std::fill(row, row + p_.keys, 0.0f);
    return 1;
  }

  const AttentionProblem& p_;
  const AttentionTensors<float>& t_;
  Cut cut_;
  std::byte* packed_;
  std::byte* scratch_;
  ReadyRows ready_;
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
      for (int64_t k = 0; k < count; ++k) scratch[k] = taken[(range.begin + k) * p.mask.item] ? 0.0f : kMasked;
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
  const Cut cut(problem, threads);
  return cut.packed_bytes(problem) + static_cast<size_t>(cut.pieces) * cut.piece;
}

void run_attention(const AttentionProblem& problem, const AttentionTensors<float>& tensors, int threads,
                   std::byte* workspace, const Parallel& parallel, ReadyRows ready) {
  if (problem.batch == 0 || problem.heads == 0 || problem.queries == 0) return;
  Run(problem, tensors, threads, workspace, ready).run(parallel);
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
