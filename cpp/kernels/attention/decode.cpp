// Attention of few queries: K and V are read where they lie, once for all queries that share them, in chunks of keys
// that several threads take; the chunks' parts of softmax are merged at the end.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/attention/decode_rows.h"
#include "kernels/attention/softmax_row.h"

namespace fastort::kernels {
namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
// Keys in a chunk. It does not depend on the number of threads, so neither does the result.
constexpr int64_t kChunk = 256;
// Queries (of all heads that share K and V) up to which packing K and V costs more than it saves.
constexpr int64_t kMaxQueries = 16;

size_t floats(int64_t count) { return (static_cast<size_t>(count) * sizeof(float) + 63) / 64 * 64; }

struct Cut {
  int64_t queries, chunks, tasks, pieces;
  size_t part, parts, scores, bias, piece;

  Cut(const AttentionProblem& p, int threads) {
    queries = p.heads / p.kv_heads * p.queries;
    chunks = std::max<int64_t>(1, (p.keys + kChunk - 1) / kChunk);
    tasks = p.batch * p.kv_heads * chunks;
    pieces = std::min<int64_t>(tasks, threads == 1 ? 1 : 4LL * threads);
    part = floats(2 + p.value_size);  // maximum, sum, weighted rows
    parts = part * static_cast<size_t>(tasks * queries);
    scores = floats(queries * std::min(kChunk, p.keys));
    bias = floats(kChunk);
    piece = scores + bias + floats(queries * p.size) + floats(queries * p.value_size);
  }
};

class Run {
 public:
  Run(const AttentionProblem& p, const AttentionTensors<float>& t, const TypedRows& rows, int threads,
      std::byte* workspace, ReadyRows ready)
      : p_(p),
        t_(t),
        rows_(rows),
        item_(static_cast<int64_t>(element_size(rows.type))),
        cut_(p, threads),
        parts_(workspace),
        scratch_(workspace + cut_.parts),
        ready_(ready) {}

  void run(const Parallel& parallel) const {
    const int64_t task_work = std::min(kChunk, p_.keys) * (p_.size + p_.value_size);
    const int64_t least = 1 + 16384 / std::max<int64_t>(1, task_work);
    const int64_t pieces = std::clamp<int64_t>(cut_.tasks / least, 1, cut_.pieces);
    parallel.chunks(static_cast<int>(pieces), [&](int piece) {
      for (int64_t i = cut_.tasks * piece / pieces; i < cut_.tasks * (piece + 1) / pieces; ++i) task(i, piece);
    });
    if (cut_.chunks == 1) return;
    const int64_t row_work = cut_.chunks * p_.value_size;
    parallel.range(p_.batch * p_.kv_heads * cut_.queries, 1 + 16384 / std::max<int64_t>(1, row_work),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) merge(i / cut_.queries, i % cut_.queries);
                   });
  }

 private:
  float* part(int64_t head, int64_t chunk, int64_t query) const {
    const int64_t index = (head * cut_.chunks + chunk) * cut_.queries + query;
    return reinterpret_cast<float*>(parts_ + static_cast<size_t>(index) * cut_.part);
  }

  // Chunk `index` of the keys of a head of K and V.
  void task(int64_t index, int64_t piece) const {
    const int64_t head = index / cut_.chunks, chunk = index % cut_.chunks;
    const int64_t b = head / p_.kv_heads, kv = head % p_.kv_heads;
    const int64_t begin = chunk * kChunk, end = std::min(p_.keys, begin + kChunk);
    ready_(b, kv, begin, end);
    KeyRange seen{end, begin};
    for (int64_t i = 0; i < p_.queries; ++i) {
      const KeyRange range = visible(b, i, begin, end);
      if (range.begin >= range.end) continue;
      seen.begin = std::min(seen.begin, range.begin);
      seen.end = std::max(seen.end, range.end);
    }
    if (seen.begin < seen.end) {
      attend(b, kv, chunk, begin, seen, scratch_ + static_cast<size_t>(piece) * cut_.piece);
    } else {
      for (int64_t r = 0; r < cut_.queries; ++r) part(head, chunk, r)[0] = kMasked;
    }
    if (cut_.chunks > 1) return;
    for (int64_t r = 0; r < cut_.queries; ++r) merge(head, r);
  }

  KeyRange visible(int64_t b, int64_t i, int64_t begin, int64_t end) const {
    const KeyRange range = visible_keys(p_, t_.lengths, t_.offsets, b, i);
    return {std::max(range.begin, begin), std::min(range.end, end)};
  }

  RowBlock block(const void* data, const HeadStrides& strides, int64_t b, int64_t kv, KeyRange range,
                 int64_t size) const {
    const int64_t at = b * strides.batch + kv * strides.head + range.begin * strides.row;
    return {rows_.type, static_cast<const std::byte*>(data) + at * item_, strides.row, range.end - range.begin, size};
  }

  // The part of a chunk, of whose keys some query sees `seen`.
  void attend(int64_t b, int64_t kv, int64_t chunk, int64_t begin, KeyRange seen, std::byte* scratch) const {
    const int64_t group = p_.heads / p_.kv_heads, head = b * p_.kv_heads + kv;
    const int64_t stride = std::min(kChunk, p_.keys);
    float* const scores = reinterpret_cast<float*>(scratch);
    float* const bias = reinterpret_cast<float*>(scratch + cut_.scores);
    float* const q = reinterpret_cast<float*>(scratch + cut_.scores + cut_.bias);
    float* const sums = q + floats(cut_.queries * p_.size) / sizeof(float);
    const float scale = static_cast<float>(p_.scale);
    for (int64_t r = 0; r < cut_.queries; ++r) {
      const int64_t h = kv * group + r / p_.queries, i = r % p_.queries;
      const float* const from = t_.q + b * p_.q.batch + h * p_.q.head + i * p_.q.row;
      for (int64_t j = 0; j < p_.size; ++j) q[r * p_.size + j] = from[j * p_.q.item] * scale;
    }
    // Scores stand at their keys' places in the chunk.
    const int64_t skip = seen.begin - begin;
    dot_rows(q, cut_.queries, block(rows_.k, p_.k, b, kv, seen, p_.size), scores + skip, stride);
    for (int64_t r = 0; r < cut_.queries; ++r) {
      const int64_t h = kv * group + r / p_.queries, i = r % p_.queries;
      float* const row = scores + r * stride - begin;  // by key
      float* const own = part(head, chunk, r);
      const KeyRange range = visible(b, i, seen.begin, seen.end);
      const int64_t count = range.end - range.begin;
      own[0] = kMasked;
      own[1] = 0;
      if (count > 0) {
        if (p_.softcap != 0) softcap_row(row + range.begin, count, p_.softcap);
        own[0] = exp_row(row + range.begin, mask_row(p_, t_, b, h, i, range, bias), count, own[1]);
      }
      // A row of which nothing is seen takes no part; what it would give is not a number.
      const KeyRange used = own[0] == kMasked ? KeyRange{seen.end, seen.end} : range;
      std::fill(row + seen.begin, row + used.begin, 0.0f);
      std::fill(row + used.end, row + seen.end, 0.0f);
    }
    std::fill(sums, sums + cut_.queries * p_.value_size, 0.0f);
    add_weighted_rows(scores + skip, stride, cut_.queries, block(rows_.v, p_.v, b, kv, seen, p_.value_size), sums);
    for (int64_t r = 0; r < cut_.queries; ++r) {
      const float* const from = sums + r * p_.value_size;
      std::copy(from, from + p_.value_size, part(head, chunk, r) + 2);
    }
  }

  // Brings the chunks of a query together.
  void merge(int64_t head, int64_t query) const {
    const int64_t b = head / p_.kv_heads;
    const int64_t h = head % p_.kv_heads * (p_.heads / p_.kv_heads) + query / p_.queries, i = query % p_.queries;
    float* const y = t_.y + b * p_.y.batch + h * p_.y.head + i * p_.y.row;
    float most = kMasked;
    bool seen = false;
    for (int64_t c = 0; c < cut_.chunks; ++c) {
      const float own = part(head, c, query)[0];
      seen = seen || own != kMasked;
      if (own > most) most = own;
    }
    if (!seen) {
      std::fill(y, y + p_.value_size, p_.masked_rows_are_zero ? 0.0f : std::numeric_limits<float>::quiet_NaN());
      return;
    }
    float sum = p_.has_sink ? std::exp(t_.sink[h] - most) : 0.0f;
    for (int64_t c = 0; c < cut_.chunks; ++c) {
      const float* const own = part(head, c, query);
      if (own[0] != kMasked) sum += own[1] * std::exp(own[0] - most);
    }
    std::fill(y, y + p_.value_size, 0.0f);
    for (int64_t c = 0; c < cut_.chunks; ++c) {
      const float* const own = part(head, c, query);
      if (own[0] == kMasked) continue;
      const float weight = std::exp(own[0] - most) / sum;
      for (int64_t j = 0; j < p_.value_size; ++j) y[j] += weight * own[2 + j];
    }
  }

  const AttentionProblem& p_;
  const AttentionTensors<float>& t_;
  const TypedRows& rows_;
  int64_t item_;
  Cut cut_;
  std::byte* parts_;
  std::byte* scratch_;
  ReadyRows ready_;
};

}  // namespace

bool is_decoding(const AttentionProblem& p) {
  return p.kv_heads > 0 && p.heads / p.kv_heads * p.queries <= kMaxQueries && p.k.item == 1 && p.v.item == 1 &&
         p.qk_output == QkOutput::None && p.keys > 0;
}

size_t decoding_workspace_bytes(const AttentionProblem& p, int threads) {
  const Cut cut(p, threads);
  return cut.parts + static_cast<size_t>(cut.pieces) * cut.piece;
}

void run_decoding(const AttentionProblem& problem, const AttentionTensors<float>& tensors, const TypedRows& rows,
                  int threads, std::byte* workspace, const Parallel& parallel, ReadyRows ready) {
  if (problem.batch == 0 || problem.heads == 0 || problem.queries == 0) return;
  Run(problem, tensors, rows, threads, workspace, ready).run(parallel);
}

}  // namespace fastort::kernels
