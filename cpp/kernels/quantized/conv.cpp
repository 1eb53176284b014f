#include "kernels/quantized/conv.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/cpu_info.h"
#include "kernels/gemm/igemm.h"
#include "kernels/quantized/gather.h"

namespace fastort::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Jobs of fewer multiply-adds cost more to hand out than they bring.
constexpr int64_t kMinJob = 200'000;
constexpr size_t kAlign = 64;

// Calls f(g, source) with the weights of each group, from [channel, tap] to [tap, channel], as the rows are gathered.
template <class F>
void for_each_group(const ConvShape& shape, const QuantizedConvWeights& weights, F f) {
  const int64_t channels = shape.in_group(), taps = shape.taps(), k = channels * taps, n = shape.out_group();
  std::vector<std::byte> ordered(static_cast<size_t>(taps == 1 ? 0 : n * k));
  for (int64_t g = 0; g < shape.groups; ++g) {
    const std::byte* data = weights.data + g * n * k;
    if (taps > 1) {
      std::byte* to = ordered.data();
      for (int64_t m = 0; m < n; ++m, to += k)
        for (int64_t t = 0; t < taps; ++t)
          for (int64_t c = 0; c < channels; ++c) to[t * channels + c] = data[(m * channels + c) * taps + t];
      data = ordered.data();
    }
    f(g, IgemmSource{data, weights.is_signed, 1, k, weights.zeros.data() + g * n});
  }
}

}  // namespace

QuantizedConv::QuantizedConv(const ConvShape& shape, bool src_signed, int32_t src_zero,
                             const QuantizedConvWeights& weights, QuantizedConvOutput output, int threads)
    : shape_(shape), src_signed_(src_signed), src_zero_(src_zero), threads_(threads) {
  const int64_t k = shape.in_group() * shape.taps(), n = shape.out_group();
  const int64_t pixels = shape.out_pixels() * shape.batch, panel = igemm_panel_width();
  packing_ = {IgemmForm::Quads, k, n, 0};
  for_each_group(shape, weights, [&](int64_t, const IgemmSource& source) { igemm_choose_too(source, packing_); });
  in_place_ = shape.pointwise() && shape.groups == 1 && igemm_reads_in_place(packing_, src_signed);
  padded_cols_ = igemm_padded_columns(n);
  output_ = output;
  output_.bias.assign(static_cast<size_t>(padded_cols_ * shape.groups), 0);
  output_.scales.assign(static_cast<size_t>(padded_cols_ * shape.groups), 0);
  for (int64_t m = 0; m < shape.out_channels; ++m) {
    const auto to = static_cast<size_t>(m / n * padded_cols_ + m % n), from = static_cast<size_t>(m);
    output_.bias[to] = output.bias[from];
    output_.scales[to] = output.scales[from];
  }
  const int64_t tile = igemm_tile_rows(packing_.form);
  // The gathered rows stay in the second cache; blocks are small enough that every thread gets some.
  const auto cache = static_cast<int64_t>(cache_sizes().l2) / 4;
  int64_t rows = std::max<int64_t>(tile, cache / packing_.row_bytes() / tile * tile);
  rows = std::min(rows, std::max(tile, ceil_div(ceil_div(pixels, 4 * threads), tile) * tile));
  const int64_t least = ceil_div(ceil_div(kMinJob, packing_.depth() * n), tile) * tile;
  row_block_ = std::min(std::max(rows, std::min(least, 16 * tile)), std::max<int64_t>(pixels, 1));
  row_blocks_ = ceil_div(pixels, row_block_);
  col_blocks_ = 1;
  if (row_blocks_ * shape.groups < 2 * threads && threads > 1)
    col_blocks_ = std::clamp<int64_t>(ceil_div(2 * threads, row_blocks_ * shape.groups), 1, padded_cols_ / panel);
  col_block_ = ceil_div(padded_cols_ / panel, col_blocks_) * panel;
  col_blocks_ = ceil_div(padded_cols_, col_block_);
}

size_t QuantizedConv::group_bytes() const { return (packing_.packed_bytes() + kAlign - 1) / kAlign * kAlign; }

void QuantizedConv::pack_weights(const QuantizedConvWeights& weights, std::byte* dst) const {
  for_each_group(shape_, weights, [&](int64_t g, const IgemmSource& source) {
    igemm_pack(packing_, source, dst + static_cast<size_t>(g) * group_bytes());
  });
}

size_t QuantizedConv::thread_bytes() const {
  if (in_place_) return 0;
  return (static_cast<size_t>(row_block_ * packing_.row_bytes() + kGatherSlack) + kAlign - 1) / kAlign * kAlign;
}

size_t QuantizedConv::workspace_bytes() const { return static_cast<size_t>(threads_) * thread_bytes(); }

void QuantizedConv::run_block(const std::byte* src, const std::byte* weights, std::byte* dst, int64_t job,
                              std::byte* rows) const {
  const int64_t cols = job % col_blocks_, g = job / col_blocks_ % shape_.groups;
  const int64_t first = job / (col_blocks_ * shape_.groups) * row_block_;
  const int64_t pixels = shape_.batch * shape_.out_pixels();
  IgemmBlock block;
  block.weights = &packing_;
  block.b = weights + static_cast<size_t>(g) * group_bytes();
  block.col = cols * col_block_;
  block.cols = std::min(col_block_, shape_.out_group() - block.col);
  block.rows = std::min(row_block_, pixels - first);
  block.a = in_place_ ? src + first * shape_.in_channels : rows;
  block.a_stride = packing_.row_bytes();
  block.a_zero = igemm_zero(packing_, src_signed_, src_zero_);
  if (!in_place_) gather_rows(shape_, g, first, block.rows, src, src_signed_, src_zero_, packing_, rows);
  block.dst = dst + first * shape_.out_channels + g * shape_.out_group() + block.col;
  block.dst_stride = shape_.out_channels;
  IgemmEpilogue& e = block.epilogue;
  e.kind = output_.is_signed ? IgemmEpilogue::Kind::Int8 : IgemmEpilogue::Kind::UInt8;
  e.bias = output_.bias.data() + g * padded_cols_ + block.col;
  e.scales = output_.scales.data() + g * padded_cols_ + block.col;
  e.low = output_.low;
  e.high = output_.high;
  e.zero = output_.zero;
  igemm_block(block);
}

void QuantizedConv::run(const std::byte* src, const std::byte* weights, std::byte* dst, std::byte* workspace,
                        const Parallel& parallel) const {
  const int64_t jobs = row_blocks_ * col_blocks_ * shape_.groups;
  std::atomic<int64_t> next{0};
  parallel.chunks(static_cast<int>(std::min<int64_t>(threads_, jobs)), [&](int slot) {
    std::byte* const rows = workspace + static_cast<size_t>(slot) * thread_bytes();
    for (int64_t job = next++; job < jobs; job = next++) run_block(src, weights, dst, job, rows);
  });
}

}  // namespace fastort::kernels
